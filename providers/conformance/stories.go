package conformance

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
)

var web = key("default", "web")

var stories = []struct {
	name string
	tell func(*testing.T, *controller)
}{
	{"a Service is served", func(t *testing.T, c *controller) {
		c.mustServe(c.apply(web))
	}},
	{"repeating changes nothing", func(t *testing.T, c *controller) {
		first := c.mustServe(c.apply(web))
		c.unchanged("repeating Ensure", func() {
			for range 3 {
				if again := c.mustServe(web); !reflect.DeepEqual(again, first) {
					t.Errorf("got %+v, then %+v", first, again)
				}
			}
		})
	}},
	{"a restart changes nothing", func(t *testing.T, c *controller) {
		first := c.mustServe(c.apply(web))
		c.start()
		c.unchanged("Ensure after a restart", func() {
			if after := c.mustServe(web); !reflect.DeepEqual(after, first) {
				t.Errorf("got %+v, then %+v", first, after)
			}
		})
	}},
	{"after a restart nobody takes another's address", func(t *testing.T, c *controller) {
		first := c.mustServe(c.apply(web))
		c.start()
		c.mustServe(c.apply(key("default", "other")))
		if after := c.mustServe(web); !reflect.DeepEqual(after, first) {
			t.Errorf("got %+v, then %+v", first, after)
		}
	}},
	{"an address outlives changes of ports and nodes", func(t *testing.T, c *controller) {
		first := addresses(c.mustServe(c.apply(web)))
		c.apply(web, func(svc *corev1.Service) {
			svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "https", Protocol: corev1.ProtocolTCP, Port: 443, NodePort: 30443})
		})
		if after := addresses(c.mustServe(web)); !slices.Equal(after, first) {
			t.Errorf("a port more: got %v, then %v", first, after)
		}
		c.nodes = c.nodes[1:]
		if after := addresses(c.mustServe(web)); !slices.Equal(after, first) {
			t.Errorf("a node less: got %v, then %v", first, after)
		}
	}},
	{"two Services have addresses of their own", func(t *testing.T, c *controller) {
		other := c.mustServe(c.apply(key("default", "other")))
		for _, address := range addresses(c.mustServe(c.apply(web))) {
			if slices.Contains(addresses(other), address) {
				t.Errorf("both have %s", address)
			}
		}
	}},
	{"what is released is no longer owned", func(t *testing.T, c *controller) {
		c.mustServe(c.apply(web))
		c.mustServe(c.apply(key("default", "other")))
		c.mustRelease(web)
		expectOwned(t, c, key("default", "other"))
		c.forget(web) // a local backend may serve at once who is there
		c.start()
		expectOwned(t, c, key("default", "other"))
	}},
	{"releasing twice is releasing once", func(t *testing.T, c *controller) {
		c.mustServe(c.apply(web))
		c.mustRelease(web)
		c.mustRelease(web)
	}},
	{"releasing what never was succeeds", func(t *testing.T, c *controller) {
		c.mustRelease(key("nowhere", "never"))
	}},
	{"releasing what a former process made", func(t *testing.T, c *controller) {
		c.mustServe(c.apply(web))
		c.start()
		c.mustRelease(web)
		expectOwned(t, c)
	}},
	{"a Service comes back after a release", func(t *testing.T, c *controller) {
		c.mustServe(c.apply(web))
		c.mustRelease(web)
		c.mustServe(web)
		expectOwned(t, c, web)
	}},
	{"a Service created anew is another one", anotherLife},
	{"owned is sorted and complete", func(t *testing.T, c *controller) {
		keys := []providers.Key{key("a", "z"), key("b", "a"), key("b", "b")}
		for _, i := range []int{2, 0, 1} {
			c.mustServe(c.apply(keys[i]))
		}
		expectOwned(t, c, keys...)
		c.start()
		expectOwned(t, c, keys...)
	}},
	{"no node ports", func(t *testing.T, c *controller) { // KEP-1864
		c.apply(web, func(svc *corev1.Service) {
			svc.Spec.AllocateLoadBalancerNodePorts = new(false)
			svc.Spec.Ports[0].NodePort = 0
		})
		servedOrRefused(t, c, web)
		c.mustRelease(web)
	}},
	{"TCP and UDP on one port", func(t *testing.T, c *controller) { // KEP-1435
		c.apply(web, func(svc *corev1.Service) {
			svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "quic", Protocol: corev1.ProtocolUDP, Port: 80, NodePort: 30081})
		})
		servedOrRefused(t, c, web)
		c.mustRelease(web)
	}},
	{"a refusal is steady", func(t *testing.T, c *controller) {
		if c.backend.Refuse == nil {
			t.Skip("no Service is refused for good")
		}
		c.apply(web, c.backend.Refuse)
		result, first := c.ensure(t.Context(), web)
		c.write(web, result)
		if _, refused := errors.AsType[*providers.Refusal](first); !refused {
			t.Fatalf("got %v, want a refusal", first)
		}
		c.unchanged("repeating a refused Ensure", func() {
			if _, err := c.ensure(t.Context(), web); !reflect.DeepEqual(err, first) {
				t.Errorf("got %v, then %v", first, err)
			}
		})
		c.mustRelease(web)
		expectOwned(t, c)
	}},
	{"a caller that has gone", gone},
	{"many at a time", crowd},
}

// anotherLife is of a Service that is deleted, its finalizer removed by force,
// and created anew before the first one is released.
func anotherLife(t *testing.T, c *controller) {
	old := c.apply(web)
	first := c.mustServe(old)
	c.forget(old)

	renewed := web
	renewed.UID = "uid-of-another-life"
	second := c.mustServe(c.apply(renewed))
	if _, local := c.provider.(providers.Local); !local && slices.Equal(addresses(first), addresses(second)) {
		t.Errorf("both lives have %v", addresses(first))
	}
	c.mustRelease(old)
	expectOwned(t, c, renewed)
	if after := c.mustServe(renewed); !reflect.DeepEqual(after, second) {
		t.Errorf("releasing the first life changed the second from %+v to %+v", second, after)
	}
}

// gone is of calls whose context is cancelled. They may succeed, and then the
// load balancer may be on its way; but the Service is not to blame, so that any
// other refusal would be a lie.
func gone(t *testing.T, c *controller) {
	c.apply(web)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ensure(cancelled, web); err != nil {
		if refusal, refused := errors.AsType[*providers.Refusal](err); refused && refusal.Reason != providers.ReasonProvisioning {
			t.Errorf("Ensure refused: %v", err)
		}
	}
	first := c.mustServe(web)
	_, _ = c.ensure(cancelled, web)
	if after := c.mustServe(web); !reflect.DeepEqual(after, first) {
		t.Errorf("got %+v, then %+v", first, after)
	}
	_ = c.provider.Release(cancelled, web)
	c.mustRelease(web)
	expectOwned(t, c)
}

// crowd is of many Services whose lives overlap, each key one call at a time.
func crowd(t *testing.T, c *controller) {
	const services, rounds = 32, 3
	var wg sync.WaitGroup
	var left []providers.Key
	for i := range services {
		k := c.apply(key("crowd", fmt.Sprintf("s-%02d", i)))
		stays := i%2 == 0
		if stays {
			left = append(left, k)
		}
		wg.Go(func() {
			for range rounds {
				if _, err := c.serve(k); err != nil {
					t.Error(err)
					return
				}
				if err := c.release(k); err != nil {
					t.Error(err)
					return
				}
			}
			if !stays {
				return
			}
			if _, err := c.serve(k); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	expectOwned(t, c, left...)

	holder := map[string]providers.Key{}
	for _, k := range left {
		svc, _ := c.get(k)
		for _, address := range addresses(svc.Status.LoadBalancer.Ingress) {
			if other, taken := holder[address]; taken {
				t.Errorf("%s and %s have %s", k, other, address)
			}
			holder[address] = k
		}
	}
}

func expectOwned(t *testing.T, c *controller, want ...providers.Key) {
	t.Helper()
	if got, can := c.owned(); can && !slices.Equal(got, want) {
		t.Errorf("owned is %v, want %v", got, want)
	}
}

// servedOrRefused is for what not every backend can do: it must say so.
func servedOrRefused(t *testing.T, c *controller, k providers.Key) {
	t.Helper()
	result, err := c.ensure(t.Context(), k)
	if _, refused := errors.AsType[*providers.Refusal](err); err != nil && !refused {
		t.Errorf("Ensure of %s: %v", k, err)
		return
	}
	c.write(k, result)
}
