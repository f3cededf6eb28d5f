package suite

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/apiproxy"
	"github.com/berth-lb/berth/e2e/check"
)

// The statuses are the record: a start takes over what they show, and where
// two show one address the older Service has it.
func TestStartSettlesADouble(t *testing.T) {
	t.Parallel()
	l := newLab(t, "start-double")
	l.pool("blue", ranges("192.0.2.0/24"))
	l.create("zoe-older")
	anotherSecond()
	l.create("ann-younger")
	l.create("another")
	l.show("zoe-older", "192.0.2.5")
	l.show("ann-younger", "192.0.2.5")
	l.neverTwice()

	l.start()
	l.has("zoe-older", "192.0.2.5")
	l.has("ann-younger", "192.0.2.0")
	l.has("another", "192.0.2.1")
	if n := l.events("zoe-older", "ClearAssignment"); n != 0 {
		t.Errorf("the older Service lost its address %d times", n)
	}
}

// A cluster that MetalLB served keeps every address.
func TestStartAfterMetalLB(t *testing.T) {
	t.Parallel()
	l := newLab(t, "after-metallb")
	l.neverTwice()
	l.pool("blue", ranges("192.0.2.0/24", "2001:db8::/64"))
	l.pool("green", ranges("198.51.100.0/24"), byName)
	want := map[string][]string{}
	given := func(name, pool string, all []string, options ...serviceOption) {
		want[name] = all
		l.create(name, append(options, annotated(fromAnnotation, pool))...)
		l.show(name, all...)
	}
	for i := range 8 {
		// Not in the order in which they would be given.
		given(fmt.Sprintf("web-%d", i), "blue", []string{fmt.Sprintf("192.0.2.%d", 200-17*i)})
	}
	given("named", "green", []string{"198.51.100.50"}, fromPool("green"))
	given("unnamed", "green", []string{"198.51.100.51"})
	given("asking", "green", []string{"198.51.100.52"}, asking("198.51.100.52"))
	given("old-way", "blue", []string{"192.0.2.250"}, annotated(legacyPrefix+"loadBalancerIPs", "192.0.2.250"))
	given("dual", "blue", []string{"192.0.2.99", "2001:db8::99"}, families(corev1.IPFamilyPolicyRequireDualStack))
	given("dual-the-other-way", "blue", []string{"192.0.2.97", "2001:db8::97"}, families(corev1.IPFamilyPolicyPreferDualStack))
	given("shares-1", "blue", []string{"192.0.2.77"}, sharing("k"), port(corev1.ProtocolTCP, 1))
	given("shares-2", "blue", []string{"192.0.2.77"}, sharing("k"), port(corev1.ProtocolTCP, 2))
	l.create("new")

	l.start()
	l.has("new", "192.0.2.0")
	for name, all := range want {
		svc := l.has(name, all...)
		if !slices.Contains(svc.Finalizers, finalizer) || svc.Annotations[backendAnnotation] != l.conf+"/pool" {
			t.Errorf("Service %s is not adopted:\n%s", name, check.Describe(svc))
		}
		if n := l.events(name, "ClearAssignment"); n != 0 {
			t.Errorf("the address of Service %s went away %d times", name, n)
		}
	}
	l.counts("blue", usage{assigned4: 13, available4: 243, assigned6: 2, available6: 9223372036854775807})
}

// A controller that finds no pool at all, as in the wrong namespace, takes
// nothing away and gives nothing.
func TestStartWithoutPools(t *testing.T) {
	t.Parallel()
	l := newLab(t, "no-pools")
	l.neverTwice()
	l.create("web", annotated(fromAnnotation, "blue"))
	l.show("web", "192.0.2.5")
	l.start()
	l.has("web", "192.0.2.5")
	l.create("new")
	l.refused("new", "NoPool", l.conf, "IPAddressPool")
	l.has("web", "192.0.2.5")

	l.pool("blue", ranges("192.0.2.0/24"))
	l.has("new", "192.0.2.0")
	svc := l.until("web", func(svc *corev1.Service) error {
		return check.Condition(svc, provisioned, "True", "Provisioned", "IPAddressPool blue")
	})
	if got := check.Addresses(svc); !slices.Equal(got, []string{"192.0.2.5"}) {
		t.Errorf("the address became %v", got)
	}
	if n := l.events("web", "ClearAssignment"); n != 0 {
		t.Errorf("the address went away %d times", n)
	}
}

// What happened while no controller ran is caught up with, and an address
// that a Service on its way out still shows is not given to the next before.
func TestStartAfterAnAbsence(t *testing.T) {
	t.Parallel()
	const services = 10
	l := newLab(t, "absence")
	l.pool("tight", ranges("192.0.2.0-192.0.2.9"))
	c := l.start()
	for i := range services {
		l.create(fmt.Sprintf("old-%d", i))
	}
	l.allHave(services, "192.0.2.0", "192.0.2.9")
	c.stop(t)

	for i := range services {
		l.delete(fmt.Sprintf("old-%d", i))
		l.create(fmt.Sprintf("new-%d", i))
	}
	l.neverTwice()
	l.start()
	for i := range services {
		l.gone(fmt.Sprintf("old-%d", i))
	}
	l.allHave(services, "192.0.2.0", "192.0.2.9")
}

// A restart where nothing is to do writes nothing.
func TestARestartAtRestWritesNothing(t *testing.T) {
	t.Parallel()
	const services = 50
	l := newLab(t, "restart")
	l.pool("blue", ranges("192.0.2.0/24", "2001:db8::/64"))
	l.pool("broken", ranges("198.51.100.9-198.51.100.1"), byName)
	proxy, kubeconfig := l.proxy()
	address := freeAddress(t)
	flags := []string{"--kubeconfig=" + kubeconfig, "--metrics-bind-address=" + address}

	c := l.start(flags...)
	for i := range services {
		options := []serviceOption{}
		if i%5 == 0 {
			options = append(options, families(corev1.IPFamilyPolicyRequireDualStack))
		}
		l.create(fmt.Sprintf("web-%02d", i), options...)
	}
	l.create("of-broken", fromPool("broken"))
	l.create("of-none", fromPool("nowhere"))
	l.create("nonsense", asking("nonsense"))
	l.create("single", families(corev1.IPFamilyPolicyRequireDualStack), fromPool("broken"))
	for i := range services {
		l.served(fmt.Sprintf("web-%02d", i))
	}
	for _, name := range []string{"of-broken", "of-none"} {
		l.refused(name, "NoPool")
	}
	l.refused("nonsense", "InvalidRequest")
	l.configurationIs("Invalid", "broken")
	l.counts("blue", usage{assigned4: services, available4: 256 - services, assigned6: 10, available6: 9223372036854775807})
	for i := range services {
		l.until(fmt.Sprintf("web-%02d", i), func(svc *corev1.Service) error {
			// It comes a little after the Service's slices.
			return check.Condition(svc, serving, "False", "SelectorMatchesNoPods")
		})
	}
	if writes := proxy.Reset().Writes("leases"); writes.Total() == 0 {
		t.Fatal("the first run wrote nothing: this test would see nothing")
	}
	c.stop(t)
	proxy.Reset()

	l.start(flags...)
	l.eventually(func() error {
		values, err := metrics(address)
		if err != nil {
			return err
		}
		done := values[`controller_runtime_reconcile_total{controller="service",result="success"}`]
		configured := values[`controller_runtime_reconcile_total{controller="ip-address-pool",result="success"}`]
		if done < services+4 || configured < 1 {
			return fmt.Errorf("%v Services and %v times the pools were looked at", done, configured)
		}
		return nil
	})
	check.Quiet() // Nothing follows either.
	if writes := proxy.Counts().Writes("leases"); writes.Total() > 0 {
		t.Errorf("a restart at rest wrote: %v", writes)
	}
}

// A controller that starts while the API server is away waits for it, and stops
// in order meanwhile.
func TestStartBeforeTheAPIServer(t *testing.T) {
	t.Parallel()
	l := newLab(t, "early")
	l.pool("blue", ranges("192.0.2.0/24"))
	l.create("web")
	proxy, kubeconfig := l.proxy()
	proxy.Cut()
	waits := func(c *controller) {
		t.Helper()
		l.eventually(func() error {
			return check.Is("it is said who does not answer", strings.Contains(c.Tail(10), "does not answer yet"), true)
		})
	}
	c := l.start("--kubeconfig=" + kubeconfig)
	waits(c)
	c.stop(t)

	waits(l.start("--kubeconfig=" + kubeconfig))
	l.must(proxy.Restore())
	l.has("web", "192.0.2.0")
}

// proxy returns one before the API server, and the kubeconfig that leads there.
func (l *lab) proxy() (*apiproxy.Proxy, string) {
	l.t.Helper()
	proxy, err := apiproxy.Start(l.access)
	l.must(err)
	l.t.Cleanup(proxy.Close)
	kubeconfig := filepath.Join(l.t.TempDir(), "kubeconfig")
	l.must(proxy.WriteKubeconfig(kubeconfig))
	return proxy, kubeconfig
}
