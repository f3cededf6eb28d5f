package speaker

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/api/v1beta1"
)

// taintDeletion is put by the cluster autoscaler on a node that it is about to
// delete.
const taintDeletion = "ToBeDeletedByClusterAutoscaler"

// shutdownMessage is part of what the kubelet says of its node while the machine
// shuts down (KEP-2000).
const shutdownMessage = "node is shutting down"

// parting says why a speaker that stops on this node is not likely to be
// back soon; empty where it is only started anew. Nil is a Node that is gone.
func parting(node *corev1.Node) string {
	switch {
	case node == nil:
		return "the Node is deleted"
	case node.DeletionTimestamp != nil:
		return "the Node is being deleted"
	case node.Spec.Unschedulable:
		return "the Node is cordoned"
	}
	if _, excluded := node.Labels[corev1.LabelNodeExcludeBalancers]; excluded {
		return "the Node is excluded from load balancers"
	}
	for _, taint := range node.Spec.Taints {
		if partingTaint(taint) {
			return "the Node has the taint " + taint.Key
		}
	}
	for _, c := range node.Status.Conditions {
		if shuttingDown(c) {
			return "the Node is shutting down"
		}
	}
	return ""
}

func partingTaint(taint corev1.Taint) bool {
	return taint.Key == taintDeletion || taint.Key == corev1.TaintNodeOutOfService
}

func shuttingDown(c corev1.NodeCondition) bool {
	return c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue && strings.Contains(c.Message, shutdownMessage)
}

// Leaving says why routers and other nodes should be told that this node announces
// nothing any more before the speaker stops; empty where it is only started anew, so that
// they should go on forwarding to the node meanwhile (RFC 4724). It is asked
// when the speaker stops, and reads the cache.
func (s *Speaker) Leaving(ctx context.Context) string {
	if !s.ready.Load() {
		return ""
	}
	node := &corev1.Node{}
	err := s.Cache.Get(ctx, client.ObjectKey{Name: s.Node}, node)
	switch {
	case apierrors.IsNotFound(err):
		return parting(nil)
	case err != nil:
		return ""
	}
	return parting(node)
}

// Yield has the next nodes take over what this one announces at layer 2, before
// the speaker stops on a node that is on its way out: none of them need stand in
// for it then. It returns when that is done, or when ctx ends. The speaker goes on
// as if the health checks of its node failed, which others learn as they do then.
func (s *Speaker) Yield(ctx context.Context) {
	s.leaving.Store(true)
	s.waker.wake(task{subject: theConfiguration})
	for s.announcesAny() {
		select {
		case <-s.silent:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Speaker) announcesAny() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.heard) > 0
}

// Left withdraws what this node reports of its sessions, when they are over for
// long.
func (s *Speaker) Left(ctx context.Context) error {
	status := &v1beta1.BGPNodeStatus{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Node}}
	if err := s.Client.Delete(ctx, status); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting BGPNodeStatus %s: %w", s.Node, err)
	}
	return nil
}
