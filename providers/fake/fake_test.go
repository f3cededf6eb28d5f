package fake

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/providers"
)

func service(name string, protocols ...corev1.Protocol) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)}}
	if len(protocols) == 0 {
		protocols = []corev1.Protocol{corev1.ProtocolTCP}
	}
	for i, protocol := range protocols {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Protocol: protocol, Port: int32(80 + i), NodePort: int32(30080 + i)})
	}
	return svc
}

func request(svc *corev1.Service, nodes ...string) providers.Request {
	req := providers.Request{Service: svc}
	for _, name := range nodes {
		req.Nodes = append(req.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return req
}

func keyOf(name string) providers.Key {
	return providers.Key{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)}
}

// process is a Provider and what it has woken.
type process struct {
	*Provider
	woken []string
}

func start(cloud *Cloud) *process {
	p := &process{}
	p.Provider = New(cloud, func(key providers.Key) { p.woken = append(p.woken, key.Name) })
	return p
}

func ensured(t *testing.T, p *process, req providers.Request) []corev1.LoadBalancerIngress {
	t.Helper()
	result, err := p.Ensure(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return result.Ingress
}

func refused(t *testing.T, p *process, req providers.Request, reason string) *providers.Refusal {
	t.Helper()
	_, err := p.Ensure(t.Context(), req)
	refusal, ok := errors.AsType[*providers.Refusal](err)
	if !ok || refusal.Reason != reason {
		t.Fatalf("got %v, want a refusal for %s", err, reason)
	}
	return refusal
}

func TestLife(t *testing.T) {
	cloud := NewCloud(Options{})
	p := start(cloud)
	svc := service("web")

	first := ensured(t, p, request(svc, "a", "b"))
	if first[0].IP != "198.51.100.1" || *first[0].IPMode != corev1.LoadBalancerIPModeVIP || first[0].Ports != nil {
		t.Errorf("ingress %+v", first)
	}
	want := []LoadBalancer{{
		Key: keyOf("web"), State: Active, Addresses: []string{"198.51.100.1"},
		Ports: []Port{{corev1.ProtocolTCP, 80, 30080}}, Nodes: []string{"a", "b"},
	}}
	if got := cloud.LoadBalancers(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}

	restarted := start(cloud)
	before := cloud.Changes()
	if again := ensured(t, restarted, request(svc, "a", "b")); !reflect.DeepEqual(again, first) || cloud.Changes() != before {
		t.Errorf("a restart changed something: %+v, %d calls", again, cloud.Changes()-before)
	}
	ensured(t, restarted, request(svc, "b"))
	if got := cloud.LoadBalancers()[0].Nodes; !slices.Equal(got, []string{"b"}) || cloud.Count(Update) != 1 {
		t.Errorf("nodes %v", got)
	}
	if err := restarted.Release(t.Context(), keyOf("web")); err != nil || len(cloud.LoadBalancers()) != 0 {
		t.Errorf("release: %v", err)
	}
	if other := ensured(t, restarted, request(service("other"))); other[0].IP != "198.51.100.2" {
		t.Errorf("%s: the address that was just given back should rest", other[0].IP)
	}
}

func TestIngress(t *testing.T) {
	dual := service("web")
	dual.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
	for _, tc := range []struct {
		reason  string
		options Options
		svc     *corev1.Service
		want    string
	}{
		{"a proxy", Options{IPMode: corev1.LoadBalancerIPModeProxy}, service("web"), "198.51.100.1 Proxy"},
		{"an address per family", Options{}, dual, "2001:db8::1 VIP 198.51.100.1 VIP"},
		{"a name, which has no ipMode", Options{Hostnames: true}, dual, "lb-0.cloud.example"},
		{"one port can't be served (KEP-1435)", Options{Unsupported: []corev1.Protocol{corev1.ProtocolSCTP}},
			service("web", corev1.ProtocolTCP, corev1.ProtocolSCTP), "198.51.100.1 VIP TCP/80: SCTP/81:" + PortErrorProtocol},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			var got []byte
			for _, i := range ensured(t, start(NewCloud(tc.options)), request(tc.svc)) {
				got = fmt.Appendf(got, " %s%s", i.IP, i.Hostname)
				if i.IPMode != nil {
					got = fmt.Appendf(got, " %s", *i.IPMode)
				}
				for _, port := range i.Ports {
					problem := ""
					if port.Error != nil {
						problem = *port.Error
					}
					got = fmt.Appendf(got, " %s/%d:%s", port.Protocol, port.Port, problem)
				}
			}
			if string(got[1:]) != tc.want {
				t.Errorf("got %q, want %q", got[1:], tc.want)
			}
		})
	}
}

func TestNoPortCanBeServed(t *testing.T) {
	cloud := NewCloud(Options{Unsupported: []corev1.Protocol{corev1.ProtocolSCTP}})
	refused(t, start(cloud), request(service("web", corev1.ProtocolSCTP)), providers.ReasonInvalidRequest)
	if len(cloud.LoadBalancers()) != 0 {
		t.Error("a load balancer without ports was made")
	}
}

func TestQuota(t *testing.T) {
	cloud := NewCloud(Options{Quota: 1})
	p := start(cloud)
	ensured(t, p, request(service("a")))
	refused(t, p, request(service("b")), providers.ReasonQuotaExceeded)
	refused(t, p, request(service("c")), providers.ReasonQuotaExceeded)
	refused(t, p, request(service("b")), providers.ReasonQuotaExceeded)

	release := func(name string, woken ...string) {
		t.Helper()
		p.woken = nil
		if err := p.Release(t.Context(), keyOf(name)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.woken, woken) {
			t.Errorf("after the release of %s: woken %v, want %v", name, p.woken, woken)
		}
	}
	release("a", "b") // one place, so only the first in line
	release("b", "c") // b is deleted before it takes its place: next in line

	ensured(t, p, request(service("c")))
	refused(t, p, request(service("d")), providers.ReasonQuotaExceeded)
	p.woken = nil
	cloud.SetQuota(2)
	if !slices.Equal(p.woken, []string{"d"}) {
		t.Errorf("after the quota was raised: woken %v", p.woken)
	}
}

func TestProvisioningTakesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := NewCloud(Options{Provisioning: time.Minute, Deletion: time.Minute, Latency: time.Second})
		p := start(cloud)
		refused(t, p, request(service("web")), providers.ReasonProvisioning)

		p = start(cloud) // the new process is the one that is woken
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(p.woken, []string{"web"}) {
			t.Fatalf("woken %v", p.woken)
		}
		began := time.Now()
		ensured(t, p, request(service("web")))
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v, not the latency of one call", took)
		}

		if err := p.Release(t.Context(), keyOf("web")); !errors.Is(err, providers.ErrPending) {
			t.Errorf("release: %v", err)
		}
		refused(t, p, request(service("web")), providers.ReasonProvisioning)
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := p.Release(t.Context(), keyOf("web")); err != nil || len(cloud.LoadBalancers()) != 0 {
			t.Errorf("release: %v", err)
		}
	})
}

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	t.Run("once", func(t *testing.T) {
		cloud := NewCloud(Options{})
		p := start(cloud)
		cloud.Inject(Fault{Call: Create, Err: broken, Times: 1})
		if _, err := p.Ensure(t.Context(), request(service("web"))); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		ensured(t, p, request(service("web")))
	})
	t.Run("for one Service, until lifted", func(t *testing.T) {
		cloud := NewCloud(Options{})
		p := start(cloud)
		lift := cloud.Inject(Fault{Key: keyOf("web")})
		for range 3 {
			if _, err := p.Ensure(t.Context(), request(service("web"))); err == nil {
				t.Error("succeeded")
			}
			ensured(t, p, request(service("other")))
		}
		lift()
		ensured(t, p, request(service("web")))
	})
	t.Run("a lost answer leads to no second load balancer", func(t *testing.T) {
		cloud := NewCloud(Options{})
		p := start(cloud)
		cloud.Inject(Fault{Call: Create, Lost: true, Times: 1})
		if _, err := p.Ensure(t.Context(), request(service("web"))); err == nil {
			t.Error("succeeded")
		}
		ensured(t, p, request(service("web")))
		if cloud.Count(Create) != 1 {
			t.Errorf("%d created", cloud.Count(Create))
		}
		cloud.Inject(Fault{Call: Delete, Lost: true, Times: 1})
		if err := p.Release(t.Context(), keyOf("web")); err == nil {
			t.Error("succeeded")
		}
		if err := p.Release(t.Context(), keyOf("web")); err != nil {
			t.Error(err)
		}
	})
	t.Run("an impatient caller", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := start(NewCloud(Options{Latency: time.Minute}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := p.Ensure(ctx, request(service("web"))); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	})
}

func TestThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := NewCloud(Options{CallsPerSecond: 2})
		p := start(cloud)
		svc := service("web")
		svc.Status.LoadBalancer.Ingress = ensured(t, p, request(svc)) // describe, create
		result, err := p.Ensure(t.Context(), request(svc))
		refusal, ok := errors.AsType[*providers.Refusal](err)
		if !ok || refusal.Reason != providers.ReasonThrottled || refusal.RetryAfter <= 0 {
			t.Fatalf("got %v", err)
		}
		if !reflect.DeepEqual(result.Ingress, svc.Status.LoadBalancer.Ingress) {
			t.Error("a throttled call took the address away")
		}
		time.Sleep(refusal.RetryAfter)
		ensured(t, p, request(svc))
	})
}

func TestAddressesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for n := range capacity {
		for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
			seen[address(n, family).String()] = true
		}
	}
	if len(seen) != 2*capacity {
		t.Errorf("%d addresses for %d numbers", len(seen), capacity)
	}
	for n, want := range map[int]string{0: "198.51.100.1", 253: "198.51.100.254", 254: "203.0.113.1", capacity - 1: "198.19.255.254"} {
		if got := address(n, corev1.IPv4Protocol).String(); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestOwnedIsAList(t *testing.T) {
	cloud := NewCloud(Options{})
	p := start(cloud)
	for _, name := range []string{"c", "a", "b"} {
		ensured(t, p, request(service(name)))
	}
	keys, err := start(cloud).Owned(t.Context())
	if want := []providers.Key{keyOf("a"), keyOf("b"), keyOf("c")}; err != nil || !slices.Equal(keys, want) {
		t.Errorf("got %v, %v", keys, err)
	}
}
