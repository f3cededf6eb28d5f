package speaker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/trafficpolicy"
)

// report is what this speaker's ConfigurationState should say.
type report struct {
	mu       sync.Mutex
	report   announce.SpeakerReport
	problems []announce.Problem
	// refused are the problems with passwords.
	refused []announce.Problem
	answer  trafficpolicy.Answer
	ipvs    IPVS
	node    *corev1.Node
}

func (r *report) set(report announce.SpeakerReport, problems []announce.Problem, node *corev1.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report, r.problems, r.node = report, problems, node
}

func (r *report) refuse(problems []announce.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = problems
}

func (r *report) answered(answer trafficpolicy.Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *report) see(ipvs IPVS) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ipvs = ipvs
}

// onto returns the state as it should be, given how it is.
func (r *report) onto(state *metallb.ConfigurationState, self string, healthPort int32) *metallb.ConfigurationState {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := state.DeepCopy()
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	for _, key := range stateAnnotations {
		delete(next.Annotations, key)
	}
	maps.Copy(next.Annotations, r.report.Annotations(self))
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	maps.Copy(next.Labels, labelsOf(self))
	next.OwnerReferences = withOwner(next.OwnerReferences, r.node)
	var kubeProxy *metav1.Condition
	if healthPort != 0 {
		kubeProxy = kubeProxyCondition(r.answer, healthPort)
	}
	describe(&next.Status, slices.Concat(r.problems, r.refused), kubeProxy)
	r.ipvs.tell(&next.Status.Conditions)
	return next
}

// kubeProxyAnswer is what this node's kube-proxy answered last.
func (s *Speaker) kubeProxyAnswer() trafficpolicy.Answer {
	answer, _ := s.gate.answer(wholeNode)
	return answer
}

func (s *Speaker) stateKey() client.ObjectKey {
	return client.ObjectKey{Namespace: s.Namespace, Name: stateName(s.Node)}
}

// ownState returns this speaker's ConfigurationState, one without a version
// where there is none.
func (s *Speaker) ownState(ctx context.Context, from client.Reader) (*metallb.ConfigurationState, error) {
	key := s.stateKey()
	state := &metallb.ConfigurationState{}
	err := from.Get(ctx, key, state)
	if apierrors.IsNotFound(err) {
		return &metallb.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading ConfigurationState %s: %w", key.Name, err)
	}
	return state, nil
}

func (s *Speaker) reportDiffers(ctx context.Context) (bool, error) {
	state, err := s.ownState(ctx, s.Cache)
	if err != nil {
		return false, err
	}
	next := s.report.onto(state, s.Node, s.KubeProxyHealthPort)
	return state.ResourceVersion == "" || !sameMetadata(state, next) || !equality.Semantic.DeepEqual(state.Status, next.Status), nil
}

func sameMetadata(a, b *metallb.ConfigurationState) bool {
	return sameReport(a, b) && equality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences)
}

// writeState makes the ConfigurationState of this speaker what it should be. It
// is read from the API server: it is written rarely, and the cache may not have
// the last write yet.
func (s *Speaker) writeState(ctx context.Context) error {
	state, err := s.ownState(ctx, s.Live)
	if err != nil {
		return err
	}
	next := s.report.onto(state, s.Node, s.KubeProxyHealthPort)
	switch {
	case state.ResourceVersion == "":
		status := next.Status
		if err := s.Client.Create(ctx, next); err != nil {
			return fmt.Errorf("creating ConfigurationState %s: %w", next.Name, err)
		}
		state, next.Status = next.DeepCopy(), status
	case !sameMetadata(state, next):
		status := next.Status
		if err := s.Client.Patch(ctx, next, client.MergeFromWithOptions(state, client.MergeFromWithOptimisticLock{})); err != nil {
			return fmt.Errorf("writing ConfigurationState %s: %w", next.Name, err)
		}
		next.Status = status
	}
	if equality.Semantic.DeepEqual(state.Status, next.Status) {
		return nil
	}
	// Of the two that differ in nothing but the status: what is empty in the new
	// one has to be taken out of the old.
	base := next.DeepCopy()
	base.Status = state.Status
	if err := s.Client.Status().Patch(ctx, next, client.MergeFrom(base)); err != nil {
		return fmt.Errorf("writing the status of ConfigurationState %s: %w", next.Name, err)
	}
	return nil
}
