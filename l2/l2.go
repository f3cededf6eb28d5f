// Package l2 has addresses answer ARP and NDP from one node of a segment, and
// agrees with the other nodes on which one that is.
//
// protocol decides, without any I/O; Announcer is the thread that reads and
// writes frames for it. docs/l2.md explains the protocol.
package l2

import (
	"net/netip"
	"slices"
	"time"
)

// Claim is what a node knows about an address from the API: who may announce
// it. All nodes compute the same from the same objects, at different times.
type Claim struct {
	// Order are the nodes that may announce the address; who should, first.
	Order []string
	// Recorded is the node on record as announcing it; empty for none.
	Recorded string
	// Interfaces are those of this node that may be used; nil allows all.
	Interfaces []string
}

// Host is a node, and how it is reached.
type Host struct {
	Addresses []netip.Addr
	// Hardware is the hardware addresses of the interfaces on which it announces,
	// by their names. Frames are attributed to nodes by them, on whatever segment.
	Hardware map[string]string
}

func (c Claim) equal(other Claim) bool {
	return c.Recorded == other.Recorded && slices.Equal(c.Order, other.Order) && slices.Equal(c.Interfaces, other.Interfaces) &&
		(c.Interfaces == nil) == (other.Interfaces == nil)
}

// timing holds the periods of the protocol.
type timing struct {
	// ask is the pause between the two questions of a round to a node's kernel,
	// and verdict what a round takes.
	ask, verdict time.Duration
	// recheck is the pause between rounds while a node's kernel answers and its
	// speaker does not; vouched the same while only a third node reaches it.
	recheck, vouched time.Duration
	// patience is how many rounds without an answer a node survives that was
	// vouched for before.
	patience int
	// greeting is how long a new session may take to come up.
	greeting time.Duration
	// second is how long the second standby waits for the first.
	second time.Duration
	// away is how long a speaker may be down before its addresses move; zero
	// moves them at once. Before that it is called once more, and has reply to
	// make itself heard.
	away, reply time.Duration
	// unasked is the least that away is for a node whose kernel can't be asked.
	unasked time.Duration
	// yield is how long an address is answered for at most that another node
	// should announce, and insist the pause between calls for that node.
	yield, insist time.Duration
	// rejoin is how long a node that had lost all who watch it gives way, once
	// they are back.
	rejoin time.Duration
	// calm is the least pause between frames in defence of an address, and
	// stubborn the longest against a stranger that does not give way.
	calm, stubborn time.Duration
	// repeats are the times of the gratuitous frames after a change of owner,
	// from then on: frames get lost.
	repeats []time.Duration
}

// defaults follow from what is to be reached: 300 ms until a session expires,
// 50 ms of questions, which begin before that, and one frame.
var defaults = timing{
	ask: 25 * time.Millisecond, verdict: 50 * time.Millisecond,
	recheck: 100 * time.Millisecond, vouched: 500 * time.Millisecond,
	patience: 2,
	greeting: time.Second,
	second:   80 * time.Millisecond,
	away:     30 * time.Second, reply: 200 * time.Millisecond, unasked: 30 * time.Second,
	yield: 2 * time.Second, insist: 200 * time.Millisecond,
	rejoin: 5 * time.Second,
	calm:   50 * time.Millisecond, stubborn: 10 * time.Second,
	repeats: []time.Duration{0, 50 * time.Millisecond, 250 * time.Millisecond, 1200 * time.Millisecond,
		2500 * time.Millisecond, 5 * time.Second},
}

// effect is something that the protocol wants done. What is not needed for its
// kind is zero.
type effect struct {
	kind    effectKind
	address netip.Addr
	peer    string
	mac     mac
	port    int
}

type effectKind uint8

const (
	// hold and drop: the node begins to announce the address, or ceases to.
	hold effectKind = iota + 1
	drop
	// standIn and standBack: it answers for the address in another node's name,
	// on port with mac, or ceases to.
	standIn
	standBack
	// tell sends a gratuitous frame.
	tell
	// call asks the segment who has the address, as one who should not be it;
	// inquire does so quietly, as one who is.
	call
	inquire
	// ask asks the kernel of peer whether it is there: peer itself, and those
	// who watch it on behalf of this node.
	ask
	// watch and unwatch keep a session to peer.
	watch
	unwatch
)
