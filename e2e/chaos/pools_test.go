package chaos

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var poolKind = schema.GroupVersionKind{Group: "metallb.io", Version: "v1beta1", Kind: "IPAddressPool"}

// span is n addresses from first on, as an entry of a pool.
func span(first string, n int) string {
	return fmt.Sprintf("%s-%s", first, nth(first, n-1))
}

// nth is the address n behind first.
func nth(first string, n int) netip.Addr {
	addr := netip.MustParseAddr(first)
	b := addr.AsSlice()
	for i := len(b) - 1; n > 0; i-- {
		n += int(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	next, _ := netip.AddrFromSlice(b)
	return next
}

// setPool makes a pool be as it says, whether it is there or not.
func setPool(ctx context.Context, cl client.Client, name string, auto bool, entries ...string) error {
	pool := &unstructured.Unstructured{}
	pool.SetGroupVersionKind(poolKind)
	pool.SetNamespace(system)
	pool.SetName(name)
	addresses := make([]any, len(entries))
	for i, entry := range entries {
		addresses[i] = entry
	}
	pool.Object["spec"] = map[string]any{"autoAssign": auto, "addresses": addresses}
	err := cl.Apply(ctx, client.ApplyConfigurationFromUnstructured(pool), client.FieldOwner("chaos"), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("setting the pool %s: %w", name, err)
	}
	return nil
}

func deletePool(ctx context.Context, cl client.Client, name string) error {
	pool := &unstructured.Unstructured{}
	pool.SetGroupVersionKind(poolKind)
	pool.SetNamespace(system)
	pool.SetName(name)
	if err := cl.Delete(ctx, pool); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting the pool %s: %w", name, err)
	}
	return nil
}

// pool is an IPAddressPool as the API server has it.
type pool struct {
	name   string
	auto   bool
	ranges [][2]netip.Addr
	// What its status says, by family, IPv4 first.
	assigned, available [2]int64
}

func poolsOf(ctx context.Context, cl client.Client) ([]pool, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(poolKind)
	if err := cl.List(ctx, list, client.InNamespace(system)); err != nil {
		return nil, err
	}
	var pools []pool
	for _, object := range list.Items {
		p := pool{name: object.GetName()}
		p.auto, _, _ = unstructured.NestedBool(object.Object, "spec", "autoAssign")
		entries, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "addresses")
		for _, entry := range entries {
			from, to, _ := strings.Cut(entry, "-")
			p.ranges = append(p.ranges, [2]netip.Addr{netip.MustParseAddr(from), netip.MustParseAddr(to)})
		}
		for i, family := range []string{"IPv4", "IPv6"} {
			p.assigned[i], _, _ = unstructured.NestedInt64(object.Object, "status", "assigned"+family)
			p.available[i], _, _ = unstructured.NestedInt64(object.Object, "status", "available"+family)
		}
		pools = append(pools, p)
	}
	return pools, nil
}

func (p pool) has(x netip.Addr) bool {
	for _, r := range p.ranges {
		if r[0].Compare(x) <= 0 && x.Compare(r[1]) <= 0 {
			return true
		}
	}
	return false
}

// size is how many addresses there are of a family.
func (p pool) size(family int) int64 {
	total := int64(0)
	for _, r := range p.ranges {
		if familyOf(r[0]) == family {
			from, to := r[0].As16(), r[1].As16()
			low := func(b [16]byte) (n int64) {
				for _, one := range b[9:] {
					n = n<<8 | int64(one)
				}
				return n
			}
			total += low(to) - low(from) + 1
		}
	}
	return total
}

// familyOf is 0 for IPv4 and 1 for IPv6.
func familyOf(x netip.Addr) int {
	if x.Is4() {
		return 0
	}
	return 1
}
