package aws

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// doors are the readiness gates of a site's pods: those addresses wait, and trouble
// is what was told last of each.
type doors struct {
	mu      sync.Mutex
	waiting map[string]bool
	trouble map[string]string
	groups  []string
	told    int
}

// Waiting implements Gates.
func (d *doors) Waiting(_ context.Context, _ providers.Key, all []*discoveryv1.EndpointSlice) map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting := map[string]bool{}
	for _, s := range all {
		for _, e := range s.Endpoints {
			if d.waiting[e.Addresses[0]] {
				waiting[e.Addresses[0]] = true
			}
		}
	}
	return waiting
}

// Looked implements Gates.
func (d *doors) Looked(_ providers.Key, groups []string, trouble map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.groups, d.trouble = groups, maps.Clone(trouble)
	d.told++
}

// said is what was told of an address, and whether anything was.
func (d *doors) said(address string) (trouble string, told bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	trouble, told = d.trouble[address]
	return trouble, told
}

const oldPod, newPod = "10.0.96.201", "10.0.96.202"

// withGates tells a story of a Service of two ports with one pod that is ready,
// and doors that are all shut.
func withGates(t *testing.T, story func(*site, *doors)) {
	inBubble(t, awsLike(), func(s *site) {
		d := &doors{waiting: map[string]bool{}}
		s.set = func(o *Options) { o.Gates = d }
		s.start()
		s.pods["web"] = []string{oldPod}
		s.service("web", func(svc *corev1.Service) {
			svc.Annotations[annotation.KeyTargetType] = "ip"
			svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "tls", Protocol: corev1.ProtocolTCP, Port: 443, NodePort: 30443})
		})
		s.settle("default/web")
		story(s, d)
	})
}

// wait adds a pod that is ready but for its gate, which a Service is woken for.
func (d *doors) wait(s *site, address string) {
	d.mu.Lock()
	d.waiting[address] = true
	d.mu.Unlock()
	s.pods["web"] = append(s.pods["web"], address)
}

// A pod that waits for its gate is registered beside the others, and is let in once
// it is healthy on both ports. That costs nothing afterwards.
func TestGate(t *testing.T) {
	withGates(t, func(s *site, d *doors) {
		if d.told > 0 {
			t.Errorf("without a pod that waits there was something to tell: %v", d.trouble)
		}
		slow := time.Now().Add(10 * time.Minute)
		s.cloud.SetTargetHealth(func(target fakeaws.Target) fakeaws.Health {
			if target.ID == newPod && time.Now().Before(slow) {
				return fakeaws.Unhealthy
			}
			return fakeaws.Healthy
		})
		d.wait(s, newPod)
		_ = s.ensure("default/web")
		if trouble, told := d.said(newPod); !told || trouble == "" {
			t.Errorf("registered just now, it is let in")
		}
		for time.Now().Before(slow) {
			if trouble, told := d.said(newPod); !told || trouble == "" {
				t.Fatal("let in while it is not healthy")
			}
			s.ensureWoken()
			time.Sleep(time.Second)
		}
		for trouble, _ := d.said(newPod); trouble != ""; trouble, _ = d.said(newPod) {
			if time.Since(slow) > 2*time.Minute {
				t.Fatalf("2 min after it became healthy it still waits: %s", trouble)
			}
			time.Sleep(time.Second)
		}
		if len(d.groups) != 2 {
			t.Errorf("the target groups are %v", d.groups)
		}

		d.mu.Lock()
		clear(d.waiting) // the EndpointSlice shows it ready
		d.mu.Unlock()
		s.settle("default/web")
		s.cloud.Reset()
		if err := s.ensure("default/web"); err != nil || len(s.cloud.Calls()) > 0 {
			t.Errorf("once it is ready: %v, %v", err, s.cloud.Calls())
		}
	})
}

func (s *site) ensureWoken() {
	for _, key := range s.takeWoken() {
		_ = s.ensure(key.String())
	}
}

// A process that begins while a pod waits does not rely on what an earlier one
// applied: it has to look how the pod is.
func TestGateAfterRestart(t *testing.T) {
	withGates(t, func(s *site, d *doors) {
		s.cloud.SetTargetHealth(func(target fakeaws.Target) fakeaws.Health {
			if target.ID == newPod {
				return fakeaws.Unhealthy
			}
			return fakeaws.Healthy
		})
		d.wait(s, newPod)
		s.settle("default/web")
		s.start()
		s.cloud.SetTargetHealth(func(fakeaws.Target) fakeaws.Health { return fakeaws.Healthy })
		s.cloud.Reset()
		_ = s.ensure("default/web")
		time.Sleep(2 * time.Minute)
		if trouble, told := d.said(newPod); !told || trouble != "" {
			t.Errorf("told %v: %q", told, trouble)
		}
		if s.changes() > 0 {
			t.Errorf("something was changed: %v", s.cloud.Counts())
		}
	})
}

// An address that another pod had a moment ago, as a healthy target, says nothing
// of the pod that has it now.
func TestGateOfReusedAddress(t *testing.T) {
	withGates(t, func(s *site, d *doors) {
		s.pods["web"] = []string{oldPod, newPod}
		s.settle("default/web")
		s.pods["web"] = []string{oldPod}
		s.settle("default/web")
		d.wait(s, newPod)
		_ = s.ensure("default/web")
		if trouble, told := d.said(newPod); !told || trouble == "" {
			t.Error("it is let in by what was healthy at its address")
		}
	})
}

// A port that the pod does not have is nothing to wait for, and neither are nodes.
func TestGateOfNoTarget(t *testing.T) {
	for why, change := range map[string]func(*corev1.Service){
		"the pod lacks the port": func(*corev1.Service) {},
		"targets are nodes":      func(svc *corev1.Service) { delete(svc.Annotations, annotation.KeyTargetType) },
	} {
		t.Run(why, func(t *testing.T) {
			withGates(t, func(s *site, d *doors) {
				s.change("default/web", change)
				s.settle("default/web")
				s.start()
				_ = s.ensure("default/web") // by what the process before has applied
				svc, _ := s.get("default/web")
				without := s.slices(svc)[0].DeepCopy()
				without.Name, without.Ports = "web-2", nil
				without.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{newPod}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}}}
				d.waiting[newPod] = true
				req := s.request(svc)
				req.EndpointSlices = append(slices.Clone(req.EndpointSlices), without)
				if _, err := s.provider.Ensure(s.ctx, req); err != nil {
					t.Error(err)
				}
				if trouble, told := d.said(newPod); !told || trouble != "" {
					t.Errorf("told %v: %q", told, trouble)
				}
			})
		})
	}
}
