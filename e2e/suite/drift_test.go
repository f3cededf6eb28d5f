package suite

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
)

// What somebody else does to the parts of a Service that are ours is undone.
func TestDrift(t *testing.T) {
	t.Parallel()
	l := newLab(t, "drift")
	l.pool("blue", ranges("192.0.2.0/24"))
	l.start()
	l.create("other")
	l.has("other", "192.0.2.0")
	for name, meddle := range map[string]func(*lab, string){
		"cleared-status":    func(l *lab, name string) { l.show(name) },
		"unknown-address":   func(l *lab, name string) { l.show(name, "203.0.113.200") },
		"free-address":      func(l *lab, name string) { l.show(name, "192.0.2.200") },
		"another's-address": func(l *lab, name string) { l.show(name, "192.0.2.0") },
		"two-addresses":     func(l *lab, name string) { l.show(name, check.Addresses(l.get(name))[0], "192.0.2.201") },
		"no-conditions": func(l *lab, name string) {
			l.editStatus(name, func(status *corev1.ServiceStatus) { status.Conditions = nil })
		},
		"no-finalizer": func(l *lab, name string) {
			l.edit(name, func(svc *corev1.Service) { svc.Finalizers = nil })
		},
		"no-annotations": func(l *lab, name string) {
			l.edit(name, func(svc *corev1.Service) { svc.Annotations = nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			name := "web-" + alphanumeric(name)
			l.create(name)
			before := l.served(name)
			meddle(l, name)
			after := l.until(name, func(svc *corev1.Service) error {
				if err := check.Is("the resource version changed", svc.ResourceVersion != before.ResourceVersion, true); err != nil {
					return err
				}
				if err := check.Is("the backend", svc.Annotations[backendAnnotation], l.conf+"/pool"); err != nil {
					return err
				}
				if err := check.Is("our finalizer is there", slices.Contains(svc.Finalizers, finalizer), true); err != nil {
					return err
				}
				if err := check.Is("the pool", svc.Annotations[fromAnnotation], "blue"); err != nil {
					return err
				}
				if err := check.Is("the addresses are as before", slices.Equal(check.Addresses(svc), check.Addresses(before)), true); err != nil {
					return err
				}
				return check.Condition(svc, provisioned, "True", "Provisioned")
			})
			if serving := check.Condition(after, serving, "False", "SelectorMatchesNoPods"); serving != nil {
				t.Error(serving)
			}
		})
	}
	l.has("other", "192.0.2.0")
}

func alphanumeric(s string) string {
	return string(slices.DeleteFunc([]byte(s), func(c byte) bool { return c < 'a' || c > 'z' }))
}

// Somebody who keeps writing another address is answered more and more slowly,
// and not any more once that ends.
func TestAFightSlowsDown(t *testing.T) {
	t.Parallel()
	l := newLab(t, "fight")
	l.pool("blue", ranges("192.0.2.0/24"))
	l.start()
	l.create("web")
	l.has("web", "192.0.2.0")

	w, err := l.api.Watch(t.Context(), &corev1.ServiceList{}, client.InNamespace(l.apps))
	l.must(err)
	defer w.Stop()
	repairs := 0
	for end := time.After(3 * time.Second); end != nil; {
		select {
		case event := <-w.ResultChan():
			if svc, ok := event.Object.(*corev1.Service); ok && slices.Equal(check.Addresses(svc), []string{"192.0.2.0"}) {
				repairs++
				l.show("web", "203.0.113.99")
			}
		case <-end:
			end = nil
		}
	}
	// The first event is how it was before the fight.
	if repairs--; repairs < 2 || repairs > 8 {
		t.Errorf("%d repairs in three seconds, want a few", repairs)
	}
	l.has("web", "192.0.2.0")
}
