//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/cluster"
)

//go:embed setup.yaml
var setupYAML []byte

//go:embed standins.yaml
var standinsYAML []byte

// buildAlone sets a stage without a network, for machines that allow none.
func buildAlone(ctx context.Context) (*stage, error) {
	began := time.Now()
	kube, err := cluster.Start(ctx, cluster.Options{ControllerManager: true})
	if err != nil {
		return nil, err
	}
	step(began, "etcd, kube-apiserver and kube-controller-manager are up")
	s := &stage{kube: kube}
	if err := s.furnishAlone(ctx); err != nil {
		err = s.explain(ctx, err)
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) furnishAlone(ctx context.Context) (err error) {
	if s.api, err = s.kube.Client(); err != nil {
		return err
	}
	began := time.Now()
	if err := s.populate(ctx); err != nil {
		return err
	}
	step(began, "the CRDs, a pool of addresses, two nodes and two pods are there, on paper")
	began = time.Now()
	if err := s.startController(ctx); err != nil {
		return err
	}
	step(began, "berth-controller is up")
	return nil
}

func (s *stage) populate(ctx context.Context) error {
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	if err := s.kube.Install(ctx, filepath.Join(root, "charts", "berth", "crds")); err != nil {
		return err
	}
	for _, stream := range [][]byte{setupYAML, standinsYAML} {
		if _, err := s.kube.Apply(ctx, stream); err != nil {
			return err
		}
	}
	return s.markPodsReady(ctx)
}

// markPodsReady says of all pods what a kubelet would.
func (s *stage) markPodsReady(ctx context.Context) error {
	pods := &corev1.PodList{}
	if err := s.api.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i, pod := range pods.Items {
		ipv4, ipv6 := fmt.Sprintf("10.0.0.%d", i+1), fmt.Sprintf("fd00::%d", i+1)
		pod.Status = corev1.PodStatus{
			Phase:      corev1.PodRunning,
			PodIP:      ipv4,
			PodIPs:     []corev1.PodIP{{IP: ipv4}, {IP: ipv6}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		}
		if err := s.api.Status().Update(ctx, &pod); err != nil {
			return fmt.Errorf("marking the pod %s ready: %w", pod.Name, err)
		}
	}
	return nil
}

// startController returns when the controller is at work.
func (s *stage) startController(ctx context.Context) error {
	binary, err := cluster.Built("berth-controller")
	if err != nil {
		return err
	}
	s.controller, err = s.kube.Run(context.WithoutCancel(ctx), binary,
		"--kubeconfig", s.kube.Kubeconfig(),
		"--namespace", "berth-system",
		"--default-backend", "pool",
		"--metrics-bind-address", "0",
		"--health-probe-bind-address", "0",
	)
	if err != nil {
		return err
	}
	return s.awaitController(ctx)
}

// awaitController returns when the controller is at work.
func (s *stage) awaitController(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, patience, true, s.atWork)
}

// atWork says whether the controller leads and knows its pools: it says so in
// a ConfigurationState.
func (s *stage) atWork(ctx context.Context) (bool, error) {
	select {
	case <-s.controller.Done():
		return false, errors.New("berth-controller ended")
	default:
	}
	states := &unstructured.UnstructuredList{Object: map[string]any{
		"apiVersion": "metallb.io/v1beta1",
		"kind":       "ConfigurationStateList",
	}}
	err := s.api.List(ctx, states, client.InNamespace("berth-system"))
	return len(states.Items) > 0, err
}
