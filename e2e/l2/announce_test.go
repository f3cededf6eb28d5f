//go:build linux

package l2

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// records are the ServiceL2Statuses of a Service.
func (g *ground) records(ctx context.Context, service string) (records []metallb.ServiceL2Status, err error) {
	var list metallb.ServiceL2StatusList
	err = g.API.List(ctx, &list, client.InNamespace(site.Namespace))
	for _, r := range list.Items {
		if r.Annotations[announce.AnnotationService] == "default/"+service {
			records = append(records, r)
		}
	}
	return records, err
}

// Whatever a user looks at says the same: the segment, the record, its labels
// and status as MetalLB's users know them, the event, and the condition.
func announcesOnce(g *ground) {
	svc := g.serve("first", "web")
	at := g.settled(svc)
	if len(at) != 2 {
		g.t.Fatalf("it should have an address of each family, and has %v", at)
	}
	records, err := g.records(g.ctx, svc.Name)
	g.must(err)
	for _, r := range records {
		record, _ := announce.RecordOf(&r)
		owner := at[record.Address]
		labels := map[string]string{
			announce.LabelNode: owner, announce.LabelServiceName: svc.Name, announce.LabelServiceNamespace: svc.Namespace,
		}
		for key, want := range labels {
			if r.Labels[key] != want {
				g.t.Errorf("%s: label %s is %q, should be %q", r.Name, key, r.Labels[key], want)
			}
		}
		g.until("the status of "+r.Name+" repeats the record", func(ctx context.Context) (bool, error) {
			err := g.API.Get(ctx, client.ObjectKeyFromObject(&r), &r)
			s := r.Status
			return s.Node == owner && s.ServiceName == svc.Name && s.ServiceNamespace == svc.Namespace &&
				len(s.Interfaces) == 1 && s.Interfaces[0].Name == "eth0", err
		})
	}
	for _, owner := range at.nodes() {
		g.until("an event says that "+owner+" announces", func(ctx context.Context) (bool, error) {
			return g.hasEvent(ctx, svc, "nodeAssigned", fmt.Sprintf("%q", owner))
		})
	}
	g.condition(svc, metav1.ConditionTrue, "", "")
}

// hasEvent says whether a Service has an event with that text.
func (g *ground) hasEvent(ctx context.Context, svc *corev1.Service, reason, text string) (bool, error) {
	var events corev1.EventList
	if err := g.API.List(ctx, &events, client.InNamespace(svc.Namespace)); err != nil {
		return false, err
	}
	for _, e := range events.Items {
		if e.InvolvedObject.UID == svc.UID && e.Reason == reason && strings.Contains(e.Message, text) {
			return true, nil
		}
	}
	return false, nil
}

// condition returns when Serving is as it should be; the reason and the texts
// in the message count where they are given.
func (g *ground) condition(svc *corev1.Service, status metav1.ConditionStatus, reason string, texts ...string) {
	g.t.Helper()
	g.until(fmt.Sprintf("Serving is %s %s, with %q", status, reason, texts), func(ctx context.Context) (bool, error) {
		if err := g.API.Get(ctx, client.ObjectKeyFromObject(svc), svc); err != nil {
			return false, err
		}
		err := check.Condition(svc, "berth-lb.dev/Serving", status, reason, texts...)
		return err == nil, err
	})
}

// silent returns when no client gets an answer for any address of svc, and how
// long that took.
func (g *ground) silent(svc *corev1.Service) time.Duration {
	g.t.Helper()
	began := time.Now()
	g.until("nobody answers for "+svc.Name, func(context.Context) (bool, error) {
		for _, address := range site.Addresses(svc) {
			for _, c := range g.Clients {
				if seen := g.answering(c, address); len(seen) > 0 {
					return false, fmt.Errorf("%v answers for %s", seen, address)
				}
			}
		}
		return true, nil
	})
	return time.Since(began)
}

// Without endpoints nothing should draw traffic, and the user should read why;
// with one again nobody should have to wait.
func losesPods(g *ground) {
	node := g.Node("node4")
	pod, err := node.StartPod(g.ctx, "default", "fleeting1", "fleeting")
	g.must(err)
	svc := g.serve("fleeting", "fleeting")
	g.must(pod.Delete(g.ctx))
	if took := g.silent(svc); took > soon {
		g.t.Errorf("it was answered for %s longer", took)
	}
	g.condition(svc, metav1.ConditionFalse, "SelectorMatchesNoPods", "app=fleeting")
	pod, err = node.StartPod(g.ctx, "default", "fleeting2", "fleeting")
	g.must(err)
	began := time.Now()
	defer func() { g.must(pod.Delete(context.Background())) }()
	g.until("all clients get an answer", func(context.Context) (bool, error) {
		for _, address := range site.Addresses(svc) {
			for _, c := range g.Clients {
				if len(g.answering(c, address)) != 1 {
					return false, nil
				}
			}
		}
		return true, nil
	})
	if took := time.Since(began); took > soon {
		g.t.Errorf("that took %s", took)
	}
	g.reached(svc)
	g.condition(svc, metav1.ConditionTrue, "")
	g.must(pod.Unready(g.ctx))
	if took := g.silent(svc); took > soon {
		g.t.Errorf("it was answered for %s longer", took)
	}
	g.condition(svc, metav1.ConditionFalse, "NoReadyEndpoints")
}

// One address serves as long as one of the Services that share it is there.
func sharesAddress(g *ground) {
	const shared = "metallb.io/allow-shared-ip"
	one := g.serve("sharer1", "web", func(s *corev1.Service) {
		s.Annotations = map[string]string{shared: "all"}
	})
	var texts []string
	for _, address := range site.Addresses(one) {
		texts = append(texts, address.String())
	}
	two, err := g.Serve(g.ctx, "sharer2", "web", func(s *corev1.Service) {
		s.Annotations = map[string]string{shared: "all", "metallb.io/loadBalancerIPs": strings.Join(texts, ",")}
		s.Spec.Ports = s.Spec.Ports[2:]
		s.Spec.Ports[0].Port++
	})
	g.t.Cleanup(func() { g.remove("sharer2") })
	g.must(err)
	w := g.guard(one)
	second := func(address netip.Addr) string {
		return "http://" + netip.AddrPortFrom(address, lab.HTTPPort+1).String() + "/"
	}
	for address := range w.before {
		g.until("the second Service is reached", func(ctx context.Context) (bool, error) {
			status, _, err := g.Clients[0].Get(ctx, second(address))
			return status == 200, err
		})
		pages := g.Clients[0].Request(second(address), lab.Pace, patient)
		defer func() {
			if trace := pages.Stop(); trace.Lost() > 0 {
				g.t.Errorf("%s: %s", address, trace)
			}
		}()
	}
	w.svc = two
	g.remove("sharer1")
	w.nothingMoved()
}
