//go:build linux

package l2

import (
	"net/netip"
	"testing"
	"time"

	"github.com/berth-lb/berth/epoll"
)

// newTestThread returns a thread of node a, whose ports go with the test.
func newTestThread(t *testing.T, o Options) *thread {
	t.Helper()
	o.Node, o.Usable, o.OnInterfaces = "a", func(string) bool { return true }, func([]string) {}
	if o.OnHeld == nil {
		o.OnHeld = func(netip.Addr, bool, []string) {}
	}
	a := newThread(New(o), newProtocol("a", defaults))
	waker, err := epoll.New()
	if err != nil {
		t.Fatal(err)
	}
	a.waker = waker
	t.Cleanup(func() {
		a.closePorts()
		waker.Close()
	})
	return a
}

// readFrames has a thread read until it has received n frames more.
func (a *thread) readFrames(t *testing.T, n uint64) {
	t.Helper()
	want := a.counts.frames.Load() + n
	deadline := time.Now().Add(5 * time.Second)
	for a.counts.frames.Load() < want {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d frames are missing", want-a.counts.frames.Load(), n)
		}
		if err := a.waker.Wait(deadline); err != nil {
			t.Fatal(err)
		}
		a.readPorts(time.Now())
	}
}

// Two interfaces on one segment hear each other: that is no claim of a stranger.
func TestANodeDoesNotDefendItsAddressAgainstItself(t *testing.T) {
	s := newSegment(t)
	a := newTestThread(t, Options{})
	far := s.far.port(s.farLink, interest{})
	second := mac{2, 0, 0, 0, 0, 2}
	s.near.do(func() {
		now := time.Now()
		links := []link{{index: s.nearLink.Attrs().Index, name: "near", mac: linkMAC(s.nearLink), up: true}}
		a.setLinks(now, append(links, link{index: 1, name: "second", mac: second}))
		a.protocol.start(now)
		a.claim(now, vip4, Claim{Order: []string{"a"}})
		a.perform(now)
		for _, c := range []struct {
			who           mac
			heard, answer uint64
		}{{second, 0, 0}, {askerMAC, 1, 1}} {
			send(t, far,
				appendGratuitous(nil, request, c.who, c.who, vip4),
				appendARPRequest(nil, c.who, asker4, broadcast, vip4))
			a.readFrames(t, 2)
			if heard, answered := a.counts.heard.Load(), a.counts.answered.Load(); heard != c.heard || answered != c.answer {
				t.Errorf("of %v: %d claims were heard and %d questions answered", c.who, heard, answered)
			}
		}
	})
}
