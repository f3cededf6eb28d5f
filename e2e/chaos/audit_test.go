package chaos

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// audit compares what the Services ask for, what they show and what the pools
// count, and complains of whatever doesn't fit together once all is calm.
type audit struct {
	services   []corev1.Service
	pools      []pool
	shownBy    map[netip.Addr][]*corev1.Service
	complaints []string
}

func takeAudit(ctx context.Context, cl client.Client) (*audit, error) {
	var all corev1.ServiceList
	if err := cl.List(ctx, &all, client.InNamespace(shop)); err != nil {
		return nil, err
	}
	pools, err := poolsOf(ctx, cl)
	if err != nil {
		return nil, err
	}
	a := &audit{services: all.Items, pools: pools, shownBy: map[netip.Addr][]*corev1.Service{}}
	for i := range a.services {
		for _, x := range addressesOf(&a.services[i]) {
			a.shownBy[x] = append(a.shownBy[x], &a.services[i])
		}
	}
	for i := range a.services {
		a.service(&a.services[i])
	}
	a.doubles()
	a.counters()
	return a, nil
}

func (a *audit) complain(format string, args ...any) {
	a.complaints = append(a.complaints, fmt.Sprintf(format, args...))
}

func (a *audit) service(svc *corev1.Service) {
	switch {
	case svc.DeletionTimestamp != nil:
		// The cluster's own garbage collector may still wait, after many failures
		// for minutes.
		if slices.Contains(svc.Finalizers, finalizer) {
			a.complain("%s is still being deleted, with finalizers %v", svc.Name, svc.Finalizers)
		}
	case svc.Spec.Type != corev1.ServiceTypeLoadBalancer:
		a.bare(svc)
	default:
		a.marks(svc)
		a.verdict(svc)
	}
}

// bare asks that nothing of the controller is on what isn't its own.
func (a *audit) bare(svc *corev1.Service) {
	if slices.Contains(svc.Finalizers, finalizer) {
		a.complain("%s of type %s has the finalizer", svc.Name, svc.Spec.Type)
	}
	for _, key := range []string{recordsBackend, recordsPool} {
		if value, ok := svc.Annotations[key]; ok {
			a.complain("%s of type %s has the annotation %s=%s", svc.Name, svc.Spec.Type, key, value)
		}
	}
	if n := len(svc.Status.Conditions); n > 0 {
		a.complain("%s of type %s has conditions: %v", svc.Name, svc.Spec.Type, svc.Status.Conditions)
	}
}

func (a *audit) marks(svc *corev1.Service) {
	if !slices.Contains(svc.Finalizers, finalizer) {
		a.complain("%s lacks the finalizer", svc.Name)
	}
	if svc.Annotations[recordsBackend] != "berth-system/pool" {
		a.complain("%s does not record its backend", svc.Name)
	}
	if meta.FindStatusCondition(svc.Status.Conditions, serving) == nil {
		a.complain("%s lacks the condition %s", svc.Name, serving)
	}
}

func (a *audit) verdict(svc *corev1.Service) {
	c := conditionOf(svc)
	switch {
	case c == nil:
		a.complain("%s lacks the condition %s", svc.Name, provisioned)
	case c.Message == "":
		a.complain("%s has the condition %s without a message", svc.Name, provisioned)
	case c.Status == metav1.ConditionTrue:
		a.served(svc)
	default:
		a.refused(svc, c)
	}
}

// served asks that the addresses are those that the Service wants, or that it
// is told why nobody can know.
func (a *audit) served(svc *corev1.Service) {
	shown := addressesOf(svc)
	if malformed(svc) {
		if m := conditionOf(svc).Message; !strings.Contains(m, wantsAddresses) {
			a.complain("%s is not told what is wrong with its annotation %s: %s", svc.Name, wantsAddresses, m)
		}
		return
	}
	if len(shown) == 0 {
		a.complain("%s is provisioned and has no address", svc.Name)
	}
	for _, x := range requested(svc) {
		// It may do without one of its families, and is told why then.
		missing := "the " + string(families[familyOf(x)]) + " address is still missing"
		if m := conditionOf(svc).Message; !slices.Contains(shown, x) && !strings.Contains(m, missing) {
			a.complain("%s asks for %s and shows %v: %s", svc.Name, x, shown, m)
		}
	}
	var from []string
	for _, x := range shown {
		p := a.poolOf(x)
		if p == nil {
			a.complain("%s shows %s, which is in no pool", svc.Name, x)
			continue
		}
		if !slices.Contains(from, p.name) {
			from = append(from, p.name)
		}
		if want := svc.Annotations[wantsPool]; want != "" && want != p.name {
			a.complain("%s wants the pool %s and shows %s of %s", svc.Name, want, x, p.name)
		}
		if !slices.Contains(svc.Spec.IPFamilies, families[familyOf(x)]) {
			a.complain("%s of the families %v shows %s", svc.Name, svc.Spec.IPFamilies, x)
		}
	}
	if got := svc.Annotations[recordsPool]; got != strings.Join(from, ",") {
		a.complain("%s shows %v of the pools %v and records %q", svc.Name, shown, from, got)
	}
	if len(requested(svc)) > 0 {
		return
	}
	for _, f := range svc.Spec.IPFamilies {
		has := func(x netip.Addr) bool { return families[familyOf(x)] == f }
		if !slices.ContainsFunc(shown, has) && a.free(svc, f) > 0 {
			a.complain("%s has no %s address and there are free ones: %s", svc.Name, f, conditionOf(svc).Message)
		}
	}
}

var families = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}

// refused asks that the reason is true.
func (a *audit) refused(svc *corev1.Service, c *metav1.Condition) {
	if len(svc.Status.LoadBalancer.Ingress) > 0 && c.Reason != "InvalidRequest" {
		a.complain("%s is refused (%s: %s) and shows %v", svc.Name, c.Reason, c.Message, addressesOf(svc))
	}
	switch c.Reason {
	case "PoolExhausted":
		a.exhausted(svc, c)
	case "AddressInUse":
		other := func(o *corev1.Service) bool { return o.UID != svc.UID && !termsOf(o).share(termsOf(svc)) }
		used := func(x netip.Addr) bool { return slices.ContainsFunc(a.shownBy[x], other) }
		if !slices.ContainsFunc(requested(svc), used) {
			a.complain("%s is refused (%s), and no other Service shows %v", svc.Name, c.Message, requested(svc))
		}
	case "AddressNotInPool":
		for _, x := range requested(svc) {
			if p := a.poolOf(x); p != nil && (svc.Annotations[wantsPool] == "" || svc.Annotations[wantsPool] == p.name) {
				a.complain("%s is refused (%s), and %s is in pool %s", svc.Name, c.Message, x, p.name)
			}
		}
	case "NoPool":
		if name := svc.Annotations[wantsPool]; slices.ContainsFunc(a.pools, func(p pool) bool { return p.name == name }) {
			a.complain("%s is refused (%s), and the pool is there", svc.Name, c.Message)
		}
	case "InvalidRequest":
	default:
		a.complain("%s is refused with %s: %s", svc.Name, c.Reason, c.Message)
	}
}

// exhausted asks that one of the families which the Service needs is used up.
func (a *audit) exhausted(svc *corev1.Service, c *metav1.Condition) {
	if len(requested(svc)) > 0 {
		return
	}
	needs := svc.Spec.IPFamilies[:1]
	if policy := svc.Spec.IPFamilyPolicy; policy != nil && *policy == corev1.IPFamilyPolicyRequireDualStack {
		needs = svc.Spec.IPFamilies
	}
	if !slices.ContainsFunc(needs, func(f corev1.IPFamily) bool { return a.free(svc, f) == 0 }) {
		a.complain("%s waits (%s), and there are free addresses", svc.Name, c.Message)
	}
}

// free is how many addresses nobody has in the pools that svc may use.
func (a *audit) free(svc *corev1.Service, f corev1.IPFamily) int64 {
	free := int64(0)
	for _, p := range a.pools {
		if name := svc.Annotations[wantsPool]; name == p.name || name == "" && p.auto {
			i := slices.Index(families, f)
			free += p.size(i) - a.used(p, i)
		}
	}
	return free
}

func (a *audit) used(p pool, family int) int64 {
	n := int64(0)
	for x, holders := range a.shownBy {
		if len(holders) > 0 && familyOf(x) == family && p.has(x) {
			n++
		}
	}
	return n
}

func (a *audit) poolOf(x netip.Addr) *pool {
	for i := range a.pools {
		if a.pools[i].has(x) {
			return &a.pools[i]
		}
	}
	return nil
}

func (a *audit) doubles() {
	for x, holders := range a.shownBy {
		for i, one := range holders {
			for _, other := range holders[:i] {
				if !termsOf(one).share(termsOf(other)) {
					a.complain("%s is shown by %s %+v and by %s %+v", x, one.Name, termsOf(one), other.Name, termsOf(other))
				}
			}
		}
	}
}

func (a *audit) counters() {
	for _, p := range a.pools {
		for i, family := range families {
			used := a.used(p, i)
			if p.assigned[i] != used || p.available[i] != p.size(i)-used {
				a.complain("pool %s counts %d %s addresses in use and %d free; %d of its %d are shown",
					p.name, p.assigned[i], family, p.available[i], used, p.size(i))
			}
		}
	}
}

// requested are the addresses that svc asks for, as far as they can be read.
func requested(svc *corev1.Service) []netip.Addr {
	if x, err := netip.ParseAddr(svc.Annotations[wantsAddresses]); err == nil {
		return []netip.Addr{x}
	}
	return nil
}

// malformed says whether what svc asks for can't be read.
func malformed(svc *corev1.Service) bool {
	return svc.Annotations[wantsAddresses] != "" && len(requested(svc)) == 0
}

// tally says how many Services were told what.
func (a *audit) tally() string {
	counts := map[string]int{}
	for i := range a.services {
		svc := &a.services[i]
		what := string(svc.Spec.Type)
		if c := conditionOf(svc); c != nil {
			what = c.Reason
		}
		counts[what]++
	}
	return fmt.Sprintf("%d Services: %v", len(a.services), counts)
}

// calm waits until an audit has nothing to complain of and nothing changes any
// more, and returns that audit.
func (l *lab) calm(within time.Duration, what string) *audit {
	l.t.Helper()
	const quiet = 2 * time.Second
	began := time.Now()
	var last *audit
	var err error
	seen, since := -1, time.Now()
	for time.Since(began) < within {
		if n := l.ledger.count(); n != seen {
			seen, since = n, time.Now()
		}
		a, auditErr := takeAudit(l.t.Context(), l.client)
		if err = auditErr; err == nil {
			last = a
			if len(a.complaints) > 0 {
				since = time.Now()
			} else if time.Since(since) >= quiet {
				l.t.Logf("%s: calm after %s; %s", what, since.Sub(began).Round(10*time.Millisecond), a.tally())
				return a
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	if last == nil {
		l.t.Fatalf("%s: not calm within %s: %v", what, within, err)
	}
	for _, complaint := range last.complaints[:min(len(last.complaints), 20)] {
		l.t.Errorf("%s: after %s: %s", what, within, complaint)
	}
	l.t.Fatalf("%s: not calm within %s: %d complaints (%v), the last change %s ago; %s", what, within,
		len(last.complaints), err, time.Since(since).Round(time.Millisecond), last.tally())
	return nil
}

func conditionOf(svc *corev1.Service) *metav1.Condition {
	return meta.FindStatusCondition(svc.Status.Conditions, provisioned)
}
