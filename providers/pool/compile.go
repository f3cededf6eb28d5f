package pool

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metallb "go.universe.tf/metallb/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/berth-lb/berth/ipam"
)

// problem is why an IPAddressPool is refused.
type problem struct {
	pool, field, message string
}

func (p problem) String() string {
	return fmt.Sprintf("IPAddressPool %s: %s: %s", p.pool, p.field, p.message)
}

// compile turns the objects into pools. Each that breaks a rule is refused by
// itself and stays as a frozen pool of what could be read of it, so that a
// mistake in an object takes no address away. Of two that overlap, the younger
// is refused: nobody can break an older pool by adding one.
func compile(objects []metallb.IPAddressPool) (pools []ipam.Pool, problems []problem) {
	objects = slices.Clone(objects)
	slices.SortFunc(objects, func(a, b metallb.IPAddressPool) int {
		return cmp.Or(a.CreationTimestamp.Time.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	for i := range objects {
		pool, found := compileOne(&objects[i])
		pool.Frozen = len(found) > 0
		pools, problems = append(pools, pool), append(problems, found...)
	}
	problems = append(problems, refuseOverlaps(pools)...)
	slices.SortStableFunc(problems, func(a, b problem) int { return strings.Compare(a.pool, b.pool) })
	return pools, problems
}

func compileOne(object *metallb.IPAddressPool) (ipam.Pool, []problem) {
	pool := ipam.Pool{
		Name:          object.Name,
		AvoidBuggyIPs: object.Spec.AvoidBuggyIPs,
		AutoAssign:    object.Spec.AutoAssign == nil || *object.Spec.AutoAssign,
	}
	var problems []problem
	refuse := func(field, format string, args ...any) {
		problems = append(problems, problem{object.Name, field, fmt.Sprintf(format, args...)})
	}
	if len(object.Spec.Addresses) == 0 {
		refuse("spec.addresses", "is empty; a pool needs at least one CIDR or range")
	}
	for i, entry := range object.Spec.Addresses {
		r, err := ipam.ParseRange(entry)
		if err != nil {
			refuse(fmt.Sprintf("spec.addresses[%d]", i), "%v", err)
			continue
		}
		pool.Ranges = append(pool.Ranges, r)
	}
	if to := object.Spec.AllocateTo; to != nil {
		pool.Allocation = &ipam.ServiceAllocation{
			Priority:           to.Priority,
			Namespaces:         to.Namespaces,
			NamespaceSelectors: selectors(to.NamespaceSelectors, "spec.serviceAllocation.namespaceSelectors", refuse),
			ServiceSelectors:   selectors(to.ServiceSelectors, "spec.serviceAllocation.serviceSelectors", refuse),
		}
	}
	return pool, problems
}

func selectors(list []metav1.LabelSelector, field string, refuse func(field, format string, args ...any)) []ipam.Selector {
	var all []ipam.Selector
	for i := range list {
		s, err := metav1.LabelSelectorAsSelector(&list[i])
		if err != nil {
			refuse(fmt.Sprintf("%s[%d]", field, i), "%v", err)
			continue
		}
		all = append(all, selector{s})
	}
	return all
}

// selector is a label selector as ipam asks for one.
type selector struct{ labels.Selector }

func (s selector) Matches(l map[string]string) bool { return s.Selector.Matches(labels.Set(l)) }

// refuseOverlaps freezes the pools, given oldest first, that overlap with
// themselves or with an older one that is in order.
func refuseOverlaps(pools []ipam.Pool) []problem {
	byPool := map[string][]ipam.Overlap{}
	for _, o := range ipam.Overlaps(pools) {
		byPool[o.First.Pool] = append(byPool[o.First.Pool], o)
		if o.Second.Pool != o.First.Pool {
			byPool[o.Second.Pool] = append(byPool[o.Second.Pool], o)
		}
	}
	var problems []problem
	accepted := map[string]bool{}
	for i := range pools {
		pool := &pools[i]
		for _, o := range byPool[pool.Name] {
			mine, other := o.Second, o.First
			if mine.Pool != pool.Name {
				mine, other = other, mine
			}
			if other.Pool != pool.Name && !accepted[other.Pool] {
				continue
			}
			pool.Frozen = true
			problems = append(problems, problem{pool.Name, fmt.Sprintf("spec.addresses[%d]", mine.Index), overlapMessage(mine, other)})
			break
		}
		accepted[pool.Name] = !pool.Frozen
	}
	return problems
}

func overlapMessage(mine, other ipam.Entry) string {
	if mine.Pool == other.Pool {
		return fmt.Sprintf("%s overlaps with %s, which is spec.addresses[%d] of the same pool", mine.Range, other.Range, other.Index)
	}
	return fmt.Sprintf("%s overlaps with %s of the IPAddressPool %s, which is older: change one of them", mine.Range, other.Range, other.Pool)
}
