package suite

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/check"
)

// Tests of Services without class run one at a time and beside nothing else:
// such Services belong to the whole cluster.

// A Service is served by whom its class asks for, or by the default, and is
// never touched by anybody else.
func TestClassAndDefaultBackend(t *testing.T) {
	l := newLab(t, "class")
	l.neverTwice()
	l.pool("blue", ranges("192.0.2.0/24"))
	c := l.start()
	l.create("classless", classless)
	l.create("foreign", ofClass("example.com/somebody-else"))
	l.create("not-a-load-balancer", classless, func(svc *corev1.Service) {
		svc.Spec.Type, svc.Spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeClusterIP, nil
	})
	l.create("ours")
	l.has("ours", "192.0.2.0")
	check.Quiet() // Nobody touches the others.
	l.untouched("classless")
	l.untouched("foreign")
	l.untouched("not-a-load-balancer")
	c.stop(t)

	l.start("--default-backend=pool")
	l.has("classless", "192.0.2.1")
	l.has("ours", "192.0.2.0")
	check.Quiet() // Nobody touches the others.
	l.untouched("foreign")
	l.untouched("not-a-load-balancer")

	l.delete("classless")
	l.gone("classless")
}

// Two installations in one cluster, each with a class of its own: neither
// touches what the other serves.
func TestTwoInstallations(t *testing.T) {
	t.Parallel()
	here, there := newLab(t, "here"), newLab(t, "there")
	here.pool("blue", ranges("192.0.2.0/24"))
	there.pool("blue", ranges("198.51.100.0/24"))
	here.start()
	there.start()
	here.create("web")
	there.create("web")
	one, other := here.has("web", "192.0.2.0"), there.has("web", "198.51.100.0")
	check.Quiet() // Nobody writes to either.
	if now := here.get("web"); now.ResourceVersion != one.ResourceVersion {
		t.Errorf("written again:\n%s", check.Describe(now))
	}
	if now := there.get("web"); now.ResourceVersion != other.ResourceVersion {
		t.Errorf("written again:\n%s", check.Describe(now))
	}
}

// nodes makes some, for backends that send traffic to nodes.
func (l *lab) nodes(names ...string) {
	l.t.Helper()
	for _, name := range names {
		node := &corev1.Node{}
		node.Name = l.apps + "-" + name
		l.must(l.api.Create(l.t.Context(), node))
		l.t.Cleanup(func() { _ = l.api.Delete(background, node) })
	}
}

// What a Service has goes back where it came from when another backend is to
// serve it.
func TestChangeOfBackend(t *testing.T) {
	l := newLab(t, "backends")
	l.pool("one", ranges("192.0.2.7/32"))
	l.nodes("a", "b")
	both := []string{"--backends=pool,fake", "--load-balancer-class=fake=example.com/fake-" + l.apps}
	with := func(flags ...string) []string { return append(flags, both...) }

	c := l.start(with("--default-backend=pool")...)
	l.create("web", classless)
	if svc := l.has("web", "192.0.2.7"); svc.Annotations[backendAnnotation] != l.conf+"/pool" {
		t.Errorf("the annotations are %v", svc.Annotations)
	}
	l.create("next")
	l.refused("next", "PoolExhausted", "one")

	// A Service that asks for the fake cloud by its class.
	l.create("cloudy", ofClass("example.com/fake-"+l.apps))
	svc := l.served("cloudy")
	if got := check.Addresses(svc); svc.Annotations[backendAnnotation] != l.conf+"/fake" || svc.Annotations[fromAnnotation] != "" || len(got) != 1 || got[0] == "192.0.2.7" {
		t.Errorf("Service cloudy should be served by fake: %s", check.Describe(svc))
	}
	l.delete("cloudy")
	l.gone("cloudy")
	c.stop(t)

	c = l.start(with("--default-backend=fake")...)
	svc = l.until("web", func(svc *corev1.Service) error {
		if err := check.Condition(svc, provisioned, "True", "Provisioned"); err != nil {
			return err
		}
		return check.Is("the backend", svc.Annotations[backendAnnotation], l.conf+"/fake")
	})
	if got := check.Addresses(svc); len(got) != 1 || got[0] == "192.0.2.7" || svc.Annotations[fromAnnotation] != "" {
		t.Errorf("nothing of the pool should be left on the Service: %s", check.Describe(svc))
	}
	l.has("next", "192.0.2.7")
	c.stop(t)

	// Without the backend that holds it, nobody can let it go.
	c = l.start("--default-backend=pool")
	l.until("web", func(svc *corev1.Service) error {
		return check.Condition(svc, provisioned, "False", "BackendError", `"fake"`, "--backends")
	})
	l.delete("web")
	check.Quiet() // It is not let go.
	l.get("web")
	c.stop(t)

	l.start(with("--default-backend=pool")...)
	l.gone("web")
}

// What one installation serves by default, another that serves no Service
// without class leaves alone, whatever is recorded on it.
func TestTwoInstallationsOneDefault(t *testing.T) {
	here, there := newLab(t, "here-default"), newLab(t, "there-without")
	here.pool("blue", ranges("192.0.2.0/24"))
	there.pool("blue", ranges("198.51.100.0/24"))
	here.start("--default-backend=pool")
	here.create("web", classless)
	one := here.has("web", "192.0.2.0")
	there.start()
	there.create("ours")
	there.has("ours", "198.51.100.0")
	check.Quiet() // Nobody writes.
	if now := here.get("web"); now.ResourceVersion != one.ResourceVersion {
		t.Errorf("written again:\n%s", check.Describe(now))
	}
	here.delete("web")
	here.gone("web")
}
