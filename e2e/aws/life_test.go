package aws

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// swift is an account in which things take time, but not AWS's.
func swift() fakeaws.Options {
	return fakeaws.Options{Delays: fakeaws.Delays{
		Provisioning: 2 * time.Second, Healthy: time.Second, Detach: time.Second, Release: time.Second, Tagging: time.Second,
	}}
}

// atOnce is an account in which everything happens at once.
func atOnce() fakeaws.Options { return fakeaws.Options{} }

// A Service shows its hostname as soon as there is one, says that AWS is not done
// until it is, and leaves nothing behind.
func TestLifeOfAService(t *testing.T) {
	t.Parallel()
	options := swift()
	options.Delays.Provisioning = 10 * time.Second // long enough to be seen
	l := newLab(t, "life", options)
	l.start()
	web := l.create("web")
	l.endpoints(web, "10.0.100.1")
	early := l.until("web", func(svc *corev1.Service) error {
		return check.Is("there is a hostname", hostname(svc) != "", true)
	})
	l.must(check.Condition(early, provisioned, metav1.ConditionFalse, "Provisioning", l.called("web"), "nothing to do but wait"))
	late := l.served("web")
	if hostname(late) != hostname(early) || !strings.HasSuffix(hostname(late), ".elb."+Region+".amazonaws.com") {
		t.Errorf("the hostname was %q, and became %q", hostname(early), hostname(late))
	}
	if !slices.Contains(late.Finalizers, finalizer) || late.Annotations[backendAnnotation] != l.conf+"/aws" {
		t.Errorf("the marks of the controller are missing: %s", check.Describe(late))
	}
	l.until("web", func(svc *corev1.Service) error {
		return check.Condition(svc, serving, metav1.ConditionTrue, "EndpointsReady")
	})
	l.has("load balancer "+l.called("web"), "internal ipv4")
	l.has("listener TCP 80")
	for _, node := range l.account.Site.Nodes {
		l.has(fmt.Sprintf("target %s:%d", node.Instance, web.Spec.Ports[0].NodePort))
	}

	l.delete("web")
	l.gone("web")
	l.empty()
}

// called is how names begin of what is made for a Service.
func (l *lab) called(service string) string {
	plain := strings.NewReplacer("-", "")
	return fmt.Sprintf("k8s-%.8s-%.8s-", plain.Replace(l.apps), plain.Replace(service))
}

// has fails the test unless the account holds something with all those words in
// one line.
func (l *lab) has(words ...string) {
	l.t.Helper()
	for line := range strings.Lines(l.account.Dump()) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			return
		}
	}
	l.t.Errorf("the account holds nothing of which %q is said:\n%s", words, l.account.Dump())
}

// empty returns once nothing is left of what was made in the account.
func (l *lab) empty() {
	l.t.Helper()
	l.eventually(func() error {
		if left := l.account.Left(l.bare); left != "" {
			return fmt.Errorf("the account still holds:\n%s", left)
		}
		return nil
	})
}

// What a Service asks for is refused before any call is made, or named.
func TestAnnotations(t *testing.T) {
	t.Parallel()
	l := newLab(t, "annotations", atOnce())
	l.start()
	l.create("good")
	l.served("good")
	l.account.Reset()
	l.create("wrong", annotated("scheme", "public"), annotated("healthcheck-interval", "2"))
	svc := l.refused("wrong", "InvalidRequest", prefix+"scheme", `"public"`, "internet-facing", prefix+"healthcheck-interval", `"2"`, "5")
	if calls := l.account.Changing(); len(calls) > 0 {
		t.Errorf("calls were made for a Service that can't be served: %v", calls)
	}
	if hostname(svc) != "" {
		t.Errorf("a Service that can't be served has the hostname %q", hostname(svc))
	}

	l.edit("wrong", func(svc *corev1.Service) {
		svc.Annotations = map[string]string{prefix + "scheem": "internet-facing"}
	})
	svc = l.served("wrong")
	l.must(check.Condition(svc, provisioned, metav1.ConditionTrue, "Provisioned", prefix+"scheem", "do you mean "+prefix+"scheme?"))
	l.has("load balancer "+l.called("wrong"), "internal")
}

// Who asks by annotation and without class is served, and let go when the
// annotation does. It runs beside no other test: such Services belong to the
// whole cluster.
func TestTypeAnnotation(t *testing.T) {
	l := newLab(t, "by-annotation", atOnce())
	c := l.start()
	l.create("external", classless, annotated("type", "external"), annotated("nlb-target-type", "instance"))
	l.create("nlb-ip", classless, annotated("type", "nlb-ip"))
	l.create("neither", classless, annotated("type", "external"))
	before := l.served("external")
	l.served("nlb-ip")
	l.has("target group "+l.called("nlb-ip"), " ip ")
	if svc := l.get("neither"); len(svc.Finalizers) > 0 || len(svc.Status.Conditions) > 0 {
		t.Errorf("a Service that asks nobody was touched: %s", check.Describe(svc))
	}

	l.edit("external", func(svc *corev1.Service) { delete(svc.Annotations, prefix+"type") })
	l.released("external")
	if dump := l.account.Dump(); strings.Contains(dump, "stack="+l.apps+"/external") {
		t.Errorf("the account still holds what %s had:\n%s", hostname(before), dump)
	}
	l.edit("nlb-ip", func(svc *corev1.Service) { svc.Spec.Type = corev1.ServiceTypeClusterIP })
	l.released("nlb-ip")
	l.empty()
	c.stop()

	// Where the backend is the default, nobody has to ask.
	l.start("--default-backend=aws")
	l.served("neither")
	l.served("external")
	for _, name := range []string{"neither", "external"} {
		l.delete(name)
		l.gone(name)
	}
	l.empty()
}

// Deletion waits for who protected the load balancer, and says so.
func TestDeletionProtection(t *testing.T) {
	t.Parallel()
	const attribute = "deletion_protection.enabled"
	l := newLab(t, "protected", atOnce())
	l.start()
	l.create("web", annotated("attributes", attribute+"=true"))
	l.served("web")
	before := l.account.Dump()
	l.delete("web")
	l.refused("web", "InvalidRequest", l.called("web"), attribute)
	if now := l.account.Dump(); now != before {
		t.Errorf("something was changed although the load balancer is protected:\n%s", Difference(before, now))
	}

	l.unprotect() // which nobody tells the controller
	l.gone("web")
	l.empty()
}
