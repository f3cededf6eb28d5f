package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Wanted tells what about a Service that was read, or could not be, is not as it
// should be.
func Wanted(svc *corev1.Service, err error, is func(*corev1.Service) error) error {
	if err != nil {
		return err
	}
	if err := is(svc); err != nil {
		return fmt.Errorf("Service %s: %w; it is\n%s", svc.Name, err, Describe(svc))
	}
	return nil
}

// Gone tells that a Service still exists, or could not be read.
func Gone(svc *corev1.Service, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("Service %s still exists: %s", svc.Name, Describe(svc))
}

// Condition tells what about a condition of svc is not as wanted. Its message has
// to name all of those things; a reason counts where it is given.
func Condition(svc *corev1.Service, kind string, status metav1.ConditionStatus, reason string, named ...string) error {
	c := meta.FindStatusCondition(svc.Status.Conditions, kind)
	if c == nil {
		return fmt.Errorf("there is no condition %s", kind)
	}
	if c.Status != status || reason != "" && c.Reason != reason {
		return fmt.Errorf("%s is %s for the reason %s, want %s for %s: %s", kind, c.Status, c.Reason, status, cmp.Or(reason, "any"), c.Message)
	}
	for _, name := range named {
		if !strings.Contains(c.Message, name) {
			return fmt.Errorf("the message of %s does not name %q: %s", kind, name, c.Message)
		}
	}
	return nil
}

// Addresses are those that the status of svc shows, and hostnames.
func Addresses(svc *corev1.Service) []string {
	var all []string
	for _, in := range svc.Status.LoadBalancer.Ingress {
		all = append(all, in.IP+in.Hostname)
	}
	return all
}

// Describe is what matters of a Service to who has to find out what is wrong.
func Describe(svc *corev1.Service) string {
	text, _ := json.MarshalIndent(map[string]any{
		"annotations": svc.Annotations, "finalizers": svc.Finalizers, "deletionTimestamp": svc.DeletionTimestamp, "status": svc.Status,
	}, "", "  ")
	return string(text)
}

// Events returns how often an event with that reason was sent for a Service.
func Events(t testing.TB, api client.Reader, namespace, service, reason string) int {
	t.Helper()
	var list corev1.EventList
	Must(t, api.List(t.Context(), &list, client.InNamespace(namespace)))
	times := 0
	for _, event := range list.Items {
		if event.InvolvedObject.Kind == "Service" && event.InvolvedObject.Name == service && event.Reason == reason {
			times += int(max(event.Count, 1))
		}
	}
	return times
}

// Object is one of MetalLB's API, with nothing but its name.
func Object(kind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "metallb.io/v1beta1", "kind": kind}}
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}
