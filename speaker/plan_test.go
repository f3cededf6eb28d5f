package speaker

import (
	"testing"

	"github.com/berth-lb/berth/announce"
)

func TestPlan(t *testing.T) {
	says := func(node string) announce.Record {
		return announce.Record{Service: called("web"), UID: "1", Address: one1, Node: node}
	}
	why := says("")
	why.Reason = "NoReadyEndpoints"
	has := func(r announce.Record) *announce.Record { return &r }
	held := wish{purpose: sayHeld, record: says("me")}
	taking := wish{purpose: sayHeld, record: says("me"), taking: true}

	for _, tc := range []struct {
		reason   string
		cached   *announce.Record
		pending  *intent
		wish     wish
		writes   bool
		base     string
		keeps    bool
		disputed bool
	}{
		{reason: "held, and nothing on record", wish: held, writes: true},
		{reason: "held, and on record", cached: has(says("me")), wish: held},
		{reason: "held where nobody was", cached: has(why), wish: held, writes: true},
		{reason: "taken over from another", cached: has(says("a")), wish: taking, writes: true, base: "a"},
		{reason: "the same, not written yet", cached: has(says("a")), pending: &intent{purpose: sayHeld, record: says("me"), base: "a"}, wish: held, keeps: true},
		{reason: "taken over, and b was faster", cached: has(says("b")), pending: &intent{purpose: sayHeld, record: says("me"), base: "a"}, wish: held, disputed: true},
		{reason: "held, and another is on record", cached: has(says("b")), wish: held, disputed: true},
		{reason: "the address changed under the record's name", cached: has(announce.Record{Service: called("web"), UID: "1", Address: one1.Next(), Node: "me"}), wish: held, writes: true, base: "me"},
		{reason: "unfit: the next one is named", cached: has(says("me")), wish: wish{purpose: sayNext, record: says("b")}, writes: true, base: "me"},
		{reason: "named, not written, and still holding", cached: has(says("me")), pending: &intent{purpose: sayNext, record: says("b"), base: "me"}, wish: held, keeps: true},
		{reason: "named and written", cached: has(says("b")), wish: wish{purpose: sayNext, record: says("b")}},
		{reason: "nobody may", cached: has(says("a")), wish: wish{purpose: sayWhyNot, record: why}, writes: true, base: "a"},
		{reason: "nobody may, and it says so", cached: has(why), wish: wish{purpose: sayWhyNot, record: why}},
		{reason: "another takes care", cached: has(says("a")), pending: &intent{purpose: sayHeld, record: says("me"), base: "a"}, wish: wish{}},
		{reason: "gone, and the record is not", cached: has(says("a")), wish: wish{purpose: dropIt, record: says("a")}, writes: true, base: "a"},
		{reason: "gone, and so is the record", wish: wish{purpose: dropIt, record: says("a")}},
		{reason: "gone before it was written", pending: &intent{purpose: sayHeld, record: says("me")}, wish: wish{purpose: dropIt, record: says("me")}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			next, disputed := plan(tc.cached, tc.pending, tc.wish)
			if disputed != tc.disputed {
				t.Errorf("disputed: %t", disputed)
			}
			switch {
			case tc.keeps && next != tc.pending:
				t.Errorf("got %+v in place of the pending one", next)
			case tc.keeps:
			case tc.writes != (next != nil):
				t.Errorf("got %+v", next)
			case tc.writes && *next != (intent{purpose: tc.wish.purpose, record: tc.wish.record, base: tc.base}):
				t.Errorf("got %+v", next)
			}
		})
	}
}
