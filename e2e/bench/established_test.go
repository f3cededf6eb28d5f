package main

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
)

// message is one of BGP without anything in it.
func message(kind byte) []byte {
	m := bytes.Repeat([]byte{0xff}, 19)
	binary.BigEndian.PutUint16(m[16:], 19)
	m[18] = kind
	return m
}

// fromPort is an IPv4 packet of TCP from 172.30.0.1, filled up as Ethernet does.
func fromPort(port uint16, payload ...byte) []byte {
	p := make([]byte, 40, 64)
	p[0], p[9], p[32] = 0x45, 6, 5<<4
	copy(p[12:], []byte{172, 30, 0, 1})
	binary.BigEndian.PutUint16(p[20:], port)
	p = append(p, payload...)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	return append(p, 0, 0)
}

func TestEstablishments(t *testing.T) {
	const open, update, keepalive = 1, 2, 4
	router := netip.MustParseAddr("172.30.0.1")
	join := func(messages ...[]byte) []byte { return bytes.Join(messages, nil) }
	for _, c := range []struct {
		reason  string
		packets [][]byte
		at      int // which packet establishes the session first
		times   int
	}{
		{"OPEN alone is not enough", [][]byte{fromPort(179, message(open)...)}, 0, 0},
		{"the first KEEPALIVE counts", [][]byte{
			fromPort(179, message(open)...), fromPort(179), fromPort(179, message(keepalive)...), fromPort(179, message(keepalive)...),
		}, 2, 1},
		{"both may come at once", [][]byte{fromPort(179, join(message(open), message(keepalive), message(update))...)}, 0, 1},
		{"a session that is there already says nothing", [][]byte{fromPort(179, message(keepalive)...)}, 0, 0},
		{"what is from another port is not BGP", [][]byte{fromPort(180, join(message(open), message(keepalive))...)}, 0, 0},
		{"one that was lost and came back is two", [][]byte{
			fromPort(179, join(message(open), message(keepalive))...), fromPort(179, join(message(open), message(keepalive))...),
		}, 0, 2},
		{"a packet may be cut", [][]byte{fromPort(179, message(open)...)[:30], {}, fromPort(179, message(open)[:7]...)}, 0, 0},
	} {
		e := newEstablishments()
		began := time.Now()
		for i, packet := range c.packets {
			if from, said, ok := bgpPayload(packet); ok {
				e.note(from, said, began.Add(time.Duration(i)))
			}
		}
		at, times, err := e.when(router)
		if (err == nil) != (c.times > 0) || times != c.times || err == nil && at.Sub(began) != time.Duration(c.at) {
			t.Errorf("%s: got %d times, first %v, %v", c.reason, times, at.Sub(began), err)
		}
	}
}

func TestGapsOfFlowsThatBroke(t *testing.T) {
	began := time.Now()
	flow := func(from, to time.Duration) lab.Trace {
		trace := lab.Trace{Began: began, Length: 1000 * msec}
		for at := time.Duration(0); at < trace.Length; at += 5 * msec {
			q := lab.Question{Sent: at, Answered: at}
			if at > from && at < to {
				q.Answered = -1
			}
			trace.Questions = append(trace.Questions, q)
		}
		return trace
	}
	got := gapsAfter([]lab.Trace{
		flow(400*msec, 700*msec), // by the node that died
		flow(400*msec, 430*msec), // by another one, and a slow moment
		flow(0, 250*msec),        // over before
	}, began.Add(400*msec))
	if len(got) != 1 || got[0] != 300*msec {
		t.Errorf("got %v, want the gap of the first alone", got)
	}
}
