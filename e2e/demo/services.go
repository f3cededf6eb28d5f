//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/providers"
)

//go:embed services.yaml
var servicesYAML []byte

// namespace is where the Services are.
const namespace = "demo"

// sight is one Service as it was seen.
type sight struct {
	created time.Time
	took    time.Duration // until it had an address
	service *corev1.Service
}

// outcome is what has to become of a Service.
type outcome struct {
	name      string
	addresses []string // prefixes, one for each address
	// Reasons for the conditions being False; empty where they are True.
	provisioned, serving string
}

var outcomes = []outcome{
	{name: "plain", addresses: []string{"172.30.0.0/24"}},
	{name: "requested", addresses: []string{"172.30.0.240/32"}},
	{name: "shared-tcp", addresses: []string{"172.30.0.0/24"}},
	{name: "shared-udp", addresses: []string{"172.30.0.0/24"}},
	{name: "dual-stack", addresses: []string{"172.30.0.0/24", "fd00:30::/64"}},
	{name: "no-pods", addresses: []string{"172.30.0.0/24"}, serving: "SelectorMatchesNoPods"},
	{name: "outside", provisioned: "AddressNotInPool", serving: "NotProvisioned"},
}

// giveAddresses creates the Services and shows what becomes of them.
func (s *stage) giveAddresses(ctx context.Context) error {
	services, err := cluster.Decode(servicesYAML)
	if err != nil {
		return err
	}
	seen, err := s.create(ctx, services)
	if err != nil {
		return err
	}
	showTimes(seen)
	if err := s.showKubectl(ctx, "get", "services", "--namespace", namespace); err != nil {
		return err
	}
	showConditions(seen)
	return nil
}

// create creates the Services, each once the one before has an answer, and
// returns when all are as they have to be.
func (s *stage) create(ctx context.Context, services []*unstructured.Unstructured) (map[string]*sight, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	events, err := s.api.Watch(ctx, &corev1.ServiceList{}, client.InNamespace(namespace))
	if err != nil {
		return nil, err
	}
	defer events.Stop()

	seen := map[string]*sight{}
	for _, service := range services {
		one := &sight{created: time.Now()}
		seen[service.GetName()] = one
		if err := s.api.Create(ctx, service); err != nil {
			return nil, fmt.Errorf("creating the Service %s: %w", service.GetName(), err)
		}
		if err := s.follow(events, seen, one.answered); err != nil {
			return nil, fmt.Errorf("waiting for the Service %s: %w", service.GetName(), err)
		}
	}
	err = s.follow(events, seen, func() bool { return missing(seen) == nil })
	return seen, errors.Join(err, missing(seen))
}

// follow notes what happens to the Services until is is true.
func (s *stage) follow(events watch.Interface, seen map[string]*sight, is func() bool) error {
	for !is() {
		select {
		case event, open := <-events.ResultChan():
			if !open {
				return errors.New("the watch of the Services ended")
			}
			note(seen, event)
		case <-s.controller.Done():
			return errors.New("berth-controller ended")
		}
	}
	return nil
}

// answered says whether Berth has decided on the Service.
func (s *sight) answered() bool {
	return s.service != nil && conditionOf(s.service, providers.ConditionProvisioned) != nil
}

func note(seen map[string]*sight, event watch.Event) {
	service, ok := event.Object.(*corev1.Service)
	if !ok || seen[service.Name] == nil {
		return
	}
	s := seen[service.Name]
	s.service = service
	if s.took == 0 && len(service.Status.LoadBalancer.Ingress) > 0 {
		s.took = time.Since(s.created)
	}
}

// missing says what is not yet as it has to be.
func missing(seen map[string]*sight) error {
	var errs []error
	for _, o := range outcomes {
		if err := o.check(seen[o.name].service); err != nil {
			errs = append(errs, fmt.Errorf("the Service %s: %w", o.name, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	tcp, udp := addresses(seen["shared-tcp"].service), addresses(seen["shared-udp"].service)
	if !slices.Equal(tcp, udp) {
		return fmt.Errorf("shared-tcp has %v and shared-udp has %v, not the same", tcp, udp)
	}
	return nil
}

func (o outcome) check(service *corev1.Service) error {
	if service == nil {
		return errors.New("was never seen")
	}
	got := addresses(service)
	if len(got) != len(o.addresses) {
		return fmt.Errorf("has the addresses %v, want %d of them", got, len(o.addresses))
	}
	for i, prefix := range o.addresses {
		ip, err := netip.ParseAddr(got[i])
		if err != nil || !netip.MustParsePrefix(prefix).Contains(ip) {
			return fmt.Errorf("has the address %q, want one of %s", got[i], prefix)
		}
	}
	return errors.Join(
		checkCondition(service, providers.ConditionProvisioned, o.provisioned),
		checkCondition(service, providers.ConditionServing, o.serving),
	)
}

func checkCondition(service *corev1.Service, kind, reason string) error {
	condition := conditionOf(service, kind)
	switch {
	case condition == nil:
		return fmt.Errorf("has no condition %s", kind)
	case reason == "" && condition.Status != metav1.ConditionTrue:
		return fmt.Errorf("is not %s: %s: %s", kind, condition.Reason, condition.Message)
	case reason != "" && condition.Reason != reason:
		return fmt.Errorf("has %s for %s, want %s", condition.Reason, kind, reason)
	}
	return nil
}

func conditionOf(service *corev1.Service, kind string) *metav1.Condition {
	for i, condition := range service.Status.Conditions {
		if condition.Type == kind {
			return &service.Status.Conditions[i]
		}
	}
	return nil
}

func addresses(service *corev1.Service) []string {
	var list []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		list = append(list, ingress.IP)
	}
	return list
}
