package speaker

import (
	"time"

	"github.com/berth-lb/berth/announce"
)

// purpose is what this node wants of a record.
type purpose int

const (
	// leaveIt to others.
	leaveIt purpose = iota
	// sayHeld: this node announces the address.
	sayHeld
	// sayNext: this node is unfit for a reason that only it knows, and names
	// the node that is to take over, which learns it from the record.
	sayNext
	// sayWhyNot: nobody announces it.
	sayWhyNot
	// stepIn: the record says that nobody can announce it, and this node can.
	stepIn
	// dropIt: the Service, or its address, is gone.
	dropIt
)

// wish is what this node wants of one record.
type wish struct {
	purpose purpose
	// record is what it should say, if it should be there.
	record announce.Record
	// taking is set when this node has just begun to announce, so that whom
	// the record names is whom it took over from.
	taking bool
}

// intent is a write that has yet to succeed.
type intent struct {
	purpose purpose
	record  announce.Record
	// base is the node on record at the time. Where it is another one by the
	// time of the write, somebody else has been faster.
	base string
	// due is when it may be written.
	due time.Time
}

// plan says what is to be written about a record that exists as cached, or
// doesn't where that is nil, given the intent that is pending, if any. disputed
// is set where this node announces and the record names another one, which it
// did not take over from: the record decides then, and nothing is written.
func plan(cached *announce.Record, pending *intent, w wish) (next *intent, disputed bool) {
	fresh := &intent{purpose: w.purpose, record: w.record}
	if cached != nil {
		fresh.base = cached.Node
	}
	again := pending != nil && pending.base == fresh.base
	switch w.purpose {
	case leaveIt:
		return nil, false
	case dropIt:
		if cached == nil {
			return nil, false
		}
	case sayHeld:
		if again && pending.purpose == sayNext {
			return pending, false
		}
		if cached != nil && *cached == w.record {
			return nil, false
		}
		if other := fresh.base != "" && fresh.base != w.record.Node; other && !w.taking && !(again && pending.record == w.record) {
			return nil, true
		}
	default:
		if cached != nil && *cached == w.record {
			return nil, false
		}
	}
	if again && pending.purpose == w.purpose && pending.record == w.record {
		return pending, false
	}
	return fresh, false
}

// lost says whether what the API server has shows that somebody else was faster
// than the intent.
func lost(has announce.Record, in intent) bool {
	return in.purpose != dropIt && has.Node != "" && has.Node != in.base && has.Node != in.record.Node
}
