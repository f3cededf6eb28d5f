package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// load is what a client asks of a Service while something happens to it.
type load struct {
	forget   func() error // ends the forgetting
	requests []*lab.Requests
	probes   *lab.Probes
	talks    []*lab.Conversation
}

// startLoad asks each address, and talks to each where the pods last.
func startLoad(ctx context.Context, s *site.Site, addrs []netip.Addr, w way) (*load, error) {
	client := s.Clients[0]
	l := &load{}
	if !w.local {
		for _, addr := range addrs {
			talk, err := talkTo(ctx, s, addr)
			if err != nil {
				return nil, errors.Join(err, l.stop(&toll{}))
			}
			l.talks = append(l.talks, talk)
		}
	}
	// Datagrams show what a move itself loses. Where nobody tells who has the
	// address for a while, the client's kernel drops what it has no room for.
	if w.moves {
		var err error
		if l.probes, err = client.Probe(lab.ProbeOptions{Every: probePace}, echoes(addrs)...); err != nil {
			return nil, errors.Join(err, l.stop(&toll{}))
		}
	}
	l.forget = client.KeepFlushing(flushPace)
	for _, addr := range addrs {
		l.requests = append(l.requests, client.Request(pageOf(addr), probePace, patient))
	}
	return l, nil
}

// talkTo opens a connection with a pod on a node that stays as it is.
func talkTo(ctx context.Context, s *site.Site, addr netip.Addr) (*lab.Conversation, error) {
	owner, err := ownerOf(ctx, s, []netip.Addr{addr})
	if err != nil {
		return nil, err
	}
	for range 100 {
		talk, err := s.Clients[0].Converse(ctx, netip.AddrPortFrom(addr, lab.EchoPort), probePace)
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(talk.Pod, owner.Name) {
			return talk, nil
		}
		_, _ = talk.Stop()
	}
	return nil, fmt.Errorf("all connections to %s lead to a pod on %s", addr, owner.Name)
}

// stop ends the load and adds what became of it to the toll.
func (l *load) stop(t *toll) error {
	for _, r := range l.requests {
		trace := r.Stop()
		t.requests += trace.Sent()
		t.lost += trace.Lost()
		t.slowest = max(t.slowest, trace.Slowest())
		for _, q := range trace.Questions {
			if q.Answered >= 0 {
				continue
			}
			progress("  lost, %v after the load began: %v", q.Sent.Round(time.Millisecond), q.Err)
			if errors.Is(q.Err, syscall.ECONNRESET) {
				t.cutShort++
			}
		}
	}
	if l.probes != nil {
		for _, trace := range l.probes.Stop() {
			t.datagrams += trace.Sent()
			t.missing += trace.Lost()
		}
	}
	for _, talk := range l.talks {
		_, err := talk.Stop()
		t.talks++
		if err == nil {
			t.survived++
		}
	}
	if l.forget == nil {
		return nil
	}
	return l.forget()
}
