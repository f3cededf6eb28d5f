package app

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// pods are those of the API server itself, one at a time: few are of interest, and
// a cache would have all of the cluster.
type pods struct{ api client.WithWatch }

func newPods(config *rest.Config, o client.Options) (pods, error) {
	api, err := client.NewWithWatch(config, o)
	if err != nil {
		return pods{}, fmt.Errorf("setting up access to pods: %w", err)
	}
	return pods{api}, nil
}

// Get implements gates.Pods.
func (p pods) Get(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	return pod, p.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod)
}

// Watch implements gates.Pods.
func (p pods) Watch(ctx context.Context, pod *corev1.Pod) (watch.Interface, error) {
	return p.api.Watch(ctx, &corev1.PodList{}, client.InNamespace(pod.Namespace), &client.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, pod.Name),
		Raw:           &metav1.ListOptions{ResourceVersion: pod.ResourceVersion},
	})
}

// SetCondition implements gates.Pods. The UID is a precondition.
func (p pods) SetCondition(ctx context.Context, pod *corev1.Pod, c corev1.PodCondition) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   map[string]any{"conditions": []corev1.PodCondition{c}},
	})
	if err != nil {
		return err
	}
	target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
	return p.api.Status().Patch(ctx, target, client.RawPatch(types.StrategicMergePatchType, patch))
}

// unchanged are pods that stay as they are.
type unchanged struct{ pods }

// SetCondition implements gates.Pods.
func (unchanged) SetCondition(context.Context, *corev1.Pod, corev1.PodCondition) error { return nil }
