package ipam

import (
	"net/netip"
	"slices"
)

// slot is an address in use. It is in no pool where only statuses show it.
type slot struct {
	addr       netip.Addr
	segment    *segment
	holders    []*client
	key        string // under which the Allocator finds it for sharers
	prev, next *slot  // in the list of its pool
}

func (s *slot) pool() *pool {
	if s.segment == nil {
		return nil
	}
	return s.segment.pool
}

// clash says which holder keeps c from being on s, and by which rule.
//
// A holder whose status may still show the address, although it has lost it,
// keeps away only who is not there yet.
func (s *slot) clash(c *client) (Rule, *client, Port) {
	var retiring *client
	here := false
	for _, h := range s.holders {
		switch {
		case h == c:
			here = true
		case h.lease(s).retiring:
			if retiring == nil {
				retiring = h
			}
		default:
			if rule, port := unshareable(&h.req, &c.req); rule != RuleNone {
				return rule, h, port
			}
		}
	}
	if retiring != nil && !here {
		return RuleInUseRetiring, retiring, Port{}
	}
	return RuleNone, nil, Port{}
}

// unshareable returns the rule by which a and b can't share an address.
func unshareable(a, b *Request) (Rule, Port) {
	switch {
	case a.SharingKey == "" || b.SharingKey == "":
		return RuleInUse, Port{}
	case a.SharingKey != b.SharingKey:
		return RuleInUseKey, Port{}
	}
	for _, port := range b.Ports {
		if slices.Contains(a.Ports, port) {
			return RuleInUsePort, port
		}
	}
	if a.Backend != b.Backend {
		return RuleInUseBackend, Port{}
	}
	return RuleNone, Port{}
}

// currentKey returns the key under which s is shared now.
func (s *slot) currentKey() string {
	for _, h := range s.holders {
		if !h.lease(s).retiring {
			return h.req.SharingKey
		}
	}
	return ""
}

// slotList is the addresses in use of one pool.
type slotList struct{ first *slot }

func (l *slotList) add(s *slot) {
	s.prev, s.next = nil, l.first
	if l.first != nil {
		l.first.prev = s
	}
	l.first = s
}

func (l *slotList) remove(s *slot) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		l.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}

// client is a Service that holds an address or waits for one.
type client struct {
	req     Request
	leases  []lease
	why     *Refusal // of the family that it waits for
	waiting bool
	due     bool // is about to be asked again
	tickets []*ticket
}

// lease is the hold of a client on a slot.
type lease struct {
	slot     *slot
	retiring bool
}

func (c *client) lease(s *slot) *lease {
	for i := range c.leases {
		if c.leases[i].slot == s {
			return &c.leases[i]
		}
	}
	return nil
}

// holds returns the address of family f that c holds.
func (c *client) holds(f Family) *slot {
	for _, l := range c.leases {
		if !l.retiring && FamilyOf(l.slot.addr) == f {
			return l.slot
		}
	}
	return nil
}

func (c *client) holding() int {
	n := 0
	for _, l := range c.leases {
		if !l.retiring {
			n++
		}
	}
	return n
}

// satisfied tells whether c holds what it can't do without.
func (c *client) satisfied() bool {
	for _, f := range c.req.Families[:c.req.required()] {
		if c.holds(f) == nil {
			return false
		}
	}
	return true
}

func (c *client) allocation() Allocation {
	var a Allocation
	for _, f := range c.req.Families {
		if s := c.holds(f); s != nil {
			a.held[a.count] = Assigned{s.addr, s.pool().Name}
			a.count++
		}
	}
	if a.count > 0 {
		a.Missing = c.why
	}
	return a
}
