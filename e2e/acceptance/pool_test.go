//go:build linux

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
)

// mainPool serves whoever does not ask for another.
const mainPool = "acceptance"

// ofPools is what holds where addresses come from pools.
var ofPools = []story{
	{"a Service gets the address that it asks for", getsRequested},
	{"an address that can't be had is refused with the reason", refusesAddresses},
	{"a pool that is used up says so, and serves who waits", exhaustsPool},
	{"Services share an address", sharesAddress},
	{"a pool counts what it gave", countsAddresses},
}

func getsRequested(s *scene) {
	s.pool("on-request", s.spare[0])
	s.create("named", annotated(poolAnnotation, "on-request"))
	s.has("named", s.spare[0])
	s.delete("named")
	s.create("asking", annotated(ipsAnnotation, s.spare[0]))
	s.has("asking", s.spare[0])
	s.delete("asking")
	s.create("by-field", func(svc *corev1.Service) { svc.Spec.LoadBalancerIP = s.spare[0] })
	s.has("by-field", s.spare[0])
}

func refusesAddresses(s *scene) {
	s.pool("on-request", s.spare[0])
	s.create("holder", annotated(ipsAnnotation, s.spare[0]))
	s.has("holder", s.spare[0])

	const nowhere = "240.0.0.1" // of no network
	for _, c := range []struct {
		name, annotation, value string
		reason                  string
		named                   []string
	}{
		{"in-use", ipsAnnotation, s.spare[0], "AddressInUse", []string{s.spare[0], s.home + "/holder"}},
		{"in-no-pool", ipsAnnotation, nowhere, "AddressNotInPool", []string{nowhere}},
		{"no-address", ipsAnnotation, "nonsense", "InvalidRequest", []string{ipsAnnotation, `"nonsense"`}},
		{"no-pool", poolAnnotation, "nowhere", "NoPool", []string{"nowhere"}},
		{"nothing-left", poolAnnotation, "on-request", "PoolExhausted", []string{"on-request", "IPv4"}},
	} {
		s.create(c.name, annotated(c.annotation, c.value))
		s.refused(c.name, c.reason, c.named...)
	}
	s.delete("nothing-left")
	s.delete("holder")
	s.has("in-use", s.spare[0])
}

func exhaustsPool(s *scene) {
	s.pool("tiny", s.spare[0])
	s.create("first", annotated(poolAnnotation, "tiny"))
	s.has("first", s.spare[0])
	s.create("second", annotated(poolAnnotation, "tiny"))
	s.refused("second", "PoolExhausted", "tiny")
	s.widen("tiny", s.spare...)
	s.has("second", s.spare[1])
	s.delete("first")
	s.create("third", annotated(poolAnnotation, "tiny"))
	s.has("third", s.spare[0])
}

func sharesAddress(s *scene) {
	s.pool("tiny", s.spare[0])
	from, key := annotated(poolAnnotation, "tiny"), annotated(sharingAnnotation, "together")
	s.create("http", from, key, port(80))
	s.has("http", s.spare[0])
	s.create("more", from, key, port(8080))
	s.has("more", s.spare[0])
	s.create("clash", from, key, port(80))
	s.refused("clash", "PoolExhausted", "tiny")
	s.delete("http")
	s.has("clash", s.spare[0])
}

func countsAddresses(s *scene) {
	s.pool("tiny", s.spare...)
	counts := func(want string) {
		s.t.Helper()
		s.eventually(func() error {
			pool := check.Object("IPAddressPool", s.namespace, "tiny")
			if err := s.api.Get(s.ctx, client.ObjectKeyFromObject(pool), pool); err != nil {
				return err
			}
			assigned, _, _ := unstructured.NestedInt64(pool.Object, "status", "assignedIPv4")
			available, _, _ := unstructured.NestedInt64(pool.Object, "status", "availableIPv4")
			if got := fmt.Sprint(assigned, " and ", available); got != want {
				return fmt.Errorf("the pool says that %s are given and free, want %s", got, want)
			}
			return nil
		})
	}
	counts("0 and 2")
	s.create("web", annotated(poolAnnotation, "tiny"))
	counts("1 and 1")
	s.delete("web")
	counts("0 and 2")
}

// ofTraffic is what holds where speakers announce.
var ofTraffic = []story{
	{"a client outside reaches the pods", reachesPods},
	{"a Local Service is reached on nodes with pods", reachesLocal},
	{"an address without advertisement says so", missesAdvertisement},
}

func reachesPods(s *scene) {
	s.run("web")
	s.create("web", dualStack)
	svc := s.serves("web")
	s.reached(svc)
	s.delete("web")
	s.eventually(func() error {
		for _, address := range check.Addresses(svc) {
			if s.ask(address, 80) == nil {
				return fmt.Errorf("%s still answers although its Service is deleted", address)
			}
		}
		return nil
	})
}

func reachesLocal(s *scene) {
	s.run("web")
	s.create("web", local)
	s.reached(s.serves("web"))
}

func missesAdvertisement(s *scene) {
	s.run("web")
	s.pool("unannounced", s.spare[0])
	s.create("web", annotated(poolAnnotation, "unannounced"))
	s.has("web", s.spare[0])
	s.doesNotServe("web", "NotAdvertised", "L2Advertisement")
}

// prepare has a pool and its advertisement until the test ends.
func (g *ground) prepare(t *testing.T) {
	t.Helper()
	rest, err := g.split()
	check.Must(t, err)
	pool := check.Object("IPAddressPool", g.namespace, mainPool)
	pool.Object["spec"] = map[string]any{"addresses": rest}
	advertisement := check.Object("L2Advertisement", g.namespace, mainPool)
	advertisement.Object["spec"] = map[string]any{"ipAddressPools": []any{mainPool}}
	for _, o := range []client.Object{pool, advertisement} {
		check.Must(t, g.api.Create(t.Context(), o))
		t.Cleanup(func() { _ = g.api.Delete(context.Background(), o) })
	}
}

// givenRanges are those of the command line.
func givenRanges() ([]string, error) {
	if given.pool != "" {
		return strings.Split(given.pool, ","), nil
	}
	var ranges []string
	for _, text := range strings.Fields(given.networks) {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("-networks: %w", err)
		}
		ranges = append(ranges, lastOf(network))
	}
	if len(ranges) == 0 {
		return nil, errors.New("-pool or -networks has to say what Berth may give in the cluster of -cluster")
	}
	return ranges, nil
}

// lastOf are the last addresses of a network, but for that of broadcasts.
func lastOf(network netip.Prefix) string {
	last := netipx.PrefixLastIP(network.Masked()).Prev()
	first := last
	for range 49 {
		first = first.Prev()
	}
	return first.String() + "-" + last.String()
}

// split takes two addresses of IPv4 off the end for pools of single stories, and
// returns the rest.
func (g *ground) split() ([]any, error) {
	var b netipx.IPSetBuilder
	for _, text := range g.ranges {
		r, err := netipx.ParseIPRange(text)
		if prefix, failed := netip.ParsePrefix(text); failed == nil {
			r, err = netipx.RangeOfPrefix(prefix), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no range of addresses: %w", text, err)
		}
		b.AddRange(r)
	}
	all, err := b.IPSet()
	if err != nil {
		return nil, err
	}
	for _, r := range all.Ranges() {
		if last := r.To(); last.Is4() && r.Contains(last.Prev().Prev()) {
			g.spare = []string{last.Prev().String(), last.String()}
			b.RemoveRange(netipx.IPRangeFrom(last.Prev(), last))
			break
		}
	}
	if g.spare == nil {
		return nil, fmt.Errorf("%v has no range of three addresses of IPv4", g.ranges)
	}
	if all, err = b.IPSet(); err != nil {
		return nil, err
	}
	var rest []any
	for _, r := range all.Ranges() {
		rest = append(rest, r.String())
	}
	return rest, nil
}

// families are how many the backend has addresses of.
func (g *ground) families() int {
	if g.backend == "fake" || strings.Contains(fmt.Sprint(g.ranges), ":") {
		return 2
	}
	return 1
}
