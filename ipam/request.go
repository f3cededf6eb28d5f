package ipam

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ID names one life of a Service: one deleted and created anew has another UID.
type ID struct{ Namespace, Name, UID string }

// String returns namespace/name, as users write it.
func (id ID) String() string { return id.Namespace + "/" + id.Name }

func (id ID) compare(other ID) int {
	return cmp.Or(
		strings.Compare(id.Namespace, other.Namespace),
		strings.Compare(id.Name, other.Name),
		strings.Compare(id.UID, other.UID),
	)
}

// Family is a version of IP.
type Family uint8

// The families that there are.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of x.
func FamilyOf(x netip.Addr) Family {
	if x.Is4() {
		return IPv4
	}
	return IPv6
}

func (f Family) String() string { return "IPv" + strconv.Itoa(int(f)) }

func (f Family) index() int {
	if f == IPv4 {
		return 0
	}
	return 1
}

// Port is one port of a Service.
type Port struct {
	Protocol string
	Number   uint16
}

// String returns protocol/number.
func (p Port) String() string { return p.Protocol + "/" + strconv.Itoa(int(p.Number)) }

// Request is what one Service asks for. The Allocator keeps it: nothing that it
// refers to may be changed afterwards.
type Request struct {
	ID ID
	// Created is the Service's age: the older is served first. Among equals
	// namespace, name and UID decide.
	Created time.Time
	// NamespaceLabels and Labels are what the selectors of pools look at.
	NamespaceLabels, Labels map[string]string
	// Families are those wanted, one or two, the primary first.
	Families []Family
	// Required is how many of Families must be had, counted from the first;
	// the others are added when they can be had. Zero counts as one.
	Required int
	// Addresses are the requested ones, at most one of each family.
	Addresses []netip.Addr
	// Pool is the requested pool; empty for any.
	Pool string
	// SharingKey, Ports and Backend say with whom an address can be shared:
	// with those whose key is equal and not empty, whose ports are all
	// different, and whose Backend is equal.
	SharingKey string
	Ports      []Port
	// Backend is empty where any node can serve the Service, and otherwise
	// stands for the pods that it selects.
	Backend string
}

func (r *Request) required() int {
	return min(max(r.Required, 1), len(r.Families))
}

// requested returns the address asked for of family f, or the zero Addr.
func (r *Request) requested(f Family) netip.Addr {
	for _, x := range r.Addresses {
		if FamilyOf(x) == f {
			return x
		}
	}
	return netip.Addr{}
}

// Older orders requests by age, the oldest first.
func Older(a, b *Request) int {
	if c := a.Created.Compare(b.Created); c != 0 {
		return c
	}
	return a.ID.compare(b.ID)
}

// Assigned is one address that a Service holds, and the pool that it is from.
type Assigned struct {
	Addr netip.Addr
	Pool string
}

// Allocation is what a Service holds.
type Allocation struct {
	held  [2]Assigned
	count int
	// Missing says why a family that is wanted but not required could not be
	// had; nil when nothing is missing.
	Missing *Refusal
}

// Assigned returns what is held, in the order of the request's families.
func (a Allocation) Assigned() []Assigned { return a.held[:a.count] }
