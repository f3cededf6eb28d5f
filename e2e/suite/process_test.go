package suite

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
)

// leader is whom the lease names; empty for nobody.
func (l *lab) leader() (string, error) {
	lease := &coordinationv1.Lease{}
	if err := l.api.Get(l.t.Context(), client.ObjectKey{Namespace: l.conf, Name: "berth-controller"}, lease); err != nil {
		return "", err
	}
	if lease.Spec.HolderIdentity == nil {
		return "", nil
	}
	return *lease.Spec.HolderIdentity, nil
}

// leads returns the leader once there is one that is none of those.
func (l *lab) leads(within time.Duration, not ...string) string {
	l.t.Helper()
	var now string
	check.Eventually(l.t, within, func() (err error) {
		if now, err = l.leader(); err != nil {
			return err
		}
		for _, old := range append(not, "") {
			if now == old {
				return fmt.Errorf("the leader is %q", now)
			}
		}
		return nil
	})
	return now
}

// One of several leads, and another takes over when it dies or leaves.
func TestLeaders(t *testing.T) {
	t.Parallel()
	l := newLab(t, "leaders")
	l.neverTwice()
	l.pool("blue", ranges("192.0.2.0/24"))
	standBy := func() *controller {
		address := freeAddress(t)
		c := l.start("--health-probe-bind-address="+address,
			"--leader-elect-lease-duration=15s", "--leader-elect-renew-deadline=10s", "--leader-elect-retry-period=500ms")
		l.eventually(func() error {
			_, err := fetch(address, "/readyz")
			return err
		})
		return c
	}
	first := standBy()
	one := l.leads(patience)
	second := standBy()
	l.create("before")
	l.has("before", "192.0.2.0")
	if now := l.leads(patience); now != one {
		t.Errorf("the leader changed from %s to %s for no reason", one, now)
	}

	// Power fails: the lease has to run out first.
	first.kill()
	l.create("during")
	two := l.leads(40*time.Second, one)
	l.has("during", "192.0.2.1")
	l.has("before", "192.0.2.0")

	// A leader that is asked to stop hands over at once: long before the lease
	// runs out.
	third := standBy()
	began := time.Now()
	second.stop(t)
	l.leads(8*time.Second, one, two)
	t.Logf("handed over in %v", time.Since(began))
	l.create("after")
	l.has("after", "192.0.2.2")

	// The last one leaves the lease to nobody.
	third.stop(t)
	now, err := l.leader()
	l.must(err)
	if now != "" {
		t.Errorf("the lease still names %s", now)
	}
}

// What is wrong with the flags is told in one message that says what is
// allowed, and the exit code tells it apart from other failures.
func TestFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flags string
		want  []string
	}{
		{"--backends=pool,moon", []string{"--backends", `"moon"`, "cloud, fake, pool"}},
		{"--backends=", []string{"--backends", "cloud, fake, pool"}},
		{"--default-backend=fake", []string{"--default-backend", `"fake"`, "pool"}},
		{"--load-balancer-class=fake=example.com/x", []string{"--load-balancer-class", `"fake"`, "pool"}},
		{"--load-balancer-class=pool=", []string{"--load-balancer-class", `"pool"`, "empty"}},
		{"--load-balancer-class=pool", []string{"--load-balancer-class", "pool"}},
		{"--backends=pool,fake --load-balancer-class=pool=example.com/x,fake=example.com/x", []string{"example.com/x", `"pool"`, `"fake"`}},
		{"--backends=pool,pool", []string{"--backends", `"pool"`, "twice"}},
		{"--backends=cloud", []string{"--cloud-provider"}},
		{"--concurrency=0", []string{"--concurrency", "0", "1 and more"}},
		{"--concurrency=many", []string{"--concurrency", `"many"`}},
		{"--leader-elect-lease-duration=1s", []string{"--leader-elect-lease-duration", "1s", "--leader-elect-renew-deadline", "10s"}},
		{"--log-level=loud", []string{"--log-level", `"loud"`, "debug, info, warn"}},
		{"--log-format=xml", []string{"--log-format", `"xml"`, "text and json"}},
		{"--no-such-flag", []string{"--no-such-flag"}},
		{"surplus", []string{"surplus"}},
	} {
		t.Run(c.flags, func(t *testing.T) {
			flags := append([]string{"--kubeconfig=" + kube.Kubeconfig(), "--metrics-bind-address=0", "--health-probe-bind-address=0"}, strings.Fields(c.flags)...)
			out, err := exec.CommandContext(t.Context(), program, flags...).CombinedOutput()
			failed, ok := errors.AsType[*exec.ExitError](err)
			if !ok || failed.ExitCode() != 2 {
				t.Errorf("it ended with %v, want exit code 2", err)
			}
			for _, want := range c.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("the message does not say %s:\n%s", want, out)
				}
			}
		})
	}
}

// Probes answer, and metrics tell the truth under both names.
func TestHealthAndMetrics(t *testing.T) {
	t.Parallel()
	l := newLab(t, "metrics")
	l.pool("blue", ranges("192.0.2.0/29", "2001:db8::/125"))
	l.pool("green", ranges("198.51.100.0/30"), byName)
	ours, probes, both := freeAddress(t), freeAddress(t), freeAddress(t)
	c := l.start("--metrics-bind-address="+ours, "--health-probe-bind-address="+probes)
	for _, path := range []string{"/healthz", "/readyz"} {
		l.eventually(func() error {
			_, err := fetch(probes, path)
			return err
		})
	}
	l.create("one")
	l.has("one", "192.0.2.0")
	l.create("dual", families(corev1.IPFamilyPolicyRequireDualStack))
	l.create("named", fromPool("green"))
	l.create("waiting", fromPool("nowhere"))
	l.has("dual", "192.0.2.1", "2001:db8::")
	l.has("named", "198.51.100.0")

	shows := func(address, prefix string) {
		t.Helper()
		l.eventually(func() error {
			values, err := metrics(address)
			if err != nil {
				return err
			}
			for name, want := range map[string]float64{
				`_allocator_addresses_in_use_total{pool="blue"}`:  3,
				`_allocator_addresses_total{pool="blue"}`:         16,
				`_allocator_addresses_in_use_total{pool="green"}`: 1,
				`_allocator_addresses_total{pool="green"}`:        4,
			} {
				got, ok := values[prefix+name]
				if !ok || got != want {
					return fmt.Errorf("%s is %v (there: %v), want %v", prefix+name, got, ok, want)
				}
			}
			return nil
		})
	}
	shows(ours, "berth")
	values, err := metrics(ours)
	l.must(err)
	for name := range values {
		if strings.HasPrefix(name, "metallb_") {
			t.Errorf("%s is served although nobody asked for old names", name)
		}
	}
	l.delete("one")
	l.delete("named")
	l.gone("named")
	l.eventually(func() error {
		values, err := metrics(ours)
		if err != nil {
			return err
		}
		return check.Is("green in use", values[`berth_allocator_addresses_in_use_total{pool="green"}`], 0)
	})
	l.create("one")
	l.create("named", fromPool("green"))
	l.served("one")
	l.served("named")
	c.stop(t)

	l.start("--metrics-bind-address="+both, "--metallb-metrics", "--leader-elect=false")
	shows(both, "berth")
	shows(both, "metallb")
}
