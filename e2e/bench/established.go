package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
)

// establishments notes when BGP sessions of a node are established, as the wire
// has it: with the first KEEPALIVE that comes from a router after its OPEN
// (RFC 4271 section 8.2.2).
type establishments struct {
	tap     *os.File
	reading sync.WaitGroup

	mu sync.Mutex
	// opened are routers whose OPEN has come, and no KEEPALIVE yet.
	opened map[netip.Addr]bool
	// at is when a session was established first, times how often.
	at    map[netip.Addr]time.Time
	times map[netip.Addr]int
}

func newEstablishments() *establishments {
	return &establishments{opened: map[netip.Addr]bool{}, at: map[netip.Addr]time.Time{}, times: map[netip.Addr]int{}}
}

// watchEstablishments listens until close.
func watchEstablishments(n *lab.Node) (*establishments, error) {
	e := newEstablishments()
	err := cluster.InNetns(n.Netns(), func() error {
		// What comes in only, without its Ethernet header.
		const ipv4 = unix.ETH_P_IP>>8 | unix.ETH_P_IP<<8&0xffff
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, ipv4)
		if err == nil {
			e.tap = os.NewFile(uintptr(fd), "wire")
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", n.Name, err)
	}
	e.reading.Go(e.read)
	return e, nil
}

func (e *establishments) close() {
	e.tap.Close()
	e.reading.Wait()
}

// forget begins anew.
func (e *establishments) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.opened)
	clear(e.at)
	clear(e.times)
}

// when says when the session with a router was established first, and how often
// it was.
func (e *establishments) when(router netip.Addr) (at time.Time, times int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.times[router] == 0 {
		return at, 0, fmt.Errorf("no session with %s was seen to be established", router)
	}
	return e.at[router], e.times[router], nil
}

func (e *establishments) read() {
	packet := make([]byte, 64<<10)
	for {
		n, err := e.tap.Read(packet)
		if errors.Is(err, unix.ENETDOWN) {
			continue // said once when the link goes
		}
		if err != nil {
			return
		}
		at := time.Now()
		if from, said, ok := bgpPayload(packet[:n]); ok {
			e.note(from, said, at)
		}
	}
}

// bgpPayload returns what is in an IPv4 packet from port 179.
func bgpPayload(packet []byte) (from netip.Addr, payload []byte, ok bool) {
	const bgpPort = 179
	if len(packet) < 20 || packet[9] != unix.IPPROTO_TCP {
		return from, nil, false
	}
	from = netip.AddrFrom4([4]byte(packet[12:16]))
	end := int(binary.BigEndian.Uint16(packet[2:]))
	header := int(packet[0]&15) * 4
	if end > len(packet) || header+20 > end {
		return from, nil, false
	}
	tcp := packet[header:end]
	offset := int(tcp[12]>>4) * 4
	if binary.BigEndian.Uint16(tcp) != bgpPort || offset >= len(tcp) {
		return from, nil, false
	}
	return from, tcp[offset:], true
}

// confirm is for a KEEPALIVE.
func (e *establishments) confirm(from netip.Addr, at time.Time) {
	if !e.opened[from] {
		return
	}
	delete(e.opened, from)
	if e.times[from]++; e.times[from] == 1 {
		e.at[from] = at
	}
}

// note takes in messages, the first of which begins with the payload.
func (e *establishments) note(from netip.Addr, payload []byte, at time.Time) {
	const header, open, keepalive = 19, 1, 4
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(payload) >= header {
		switch payload[18] {
		case open:
			e.opened[from] = true
		case keepalive:
			e.confirm(from, at)
		}
		length := int(binary.BigEndian.Uint16(payload[16:]))
		if length < header || length > len(payload) {
			return
		}
		payload = payload[length:]
	}
}
