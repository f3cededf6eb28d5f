//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// vty is a conversation with a daemon of FRR by the socket that its own shell
// uses: a question ends with a NUL, an answer with three and a status.
type vty struct{ conn net.Conn }

// askVTY puts questions to a daemon in one conversation, and returns the last
// answer. The first that fails ends it.
func askVTY(ctx context.Context, socket string, questions ...string) (answer string, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	for _, question := range questions {
		if answer, err = (vty{conn}).ask(question); err != nil {
			return "", fmt.Errorf("%s: %w", question, err)
		}
	}
	return answer, nil
}

func (v vty) ask(question string) (string, error) {
	if _, err := v.conn.Write(append([]byte(question), 0)); err != nil {
		return "", err
	}
	var answer []byte
	buffer := make([]byte, 64<<10)
	for {
		n, err := v.conn.Read(buffer)
		if err != nil {
			return "", err
		}
		answer = append(answer, buffer[:n]...)
		text, status, complete := cutStatus(answer)
		switch {
		case !complete:
		case status != 0:
			return "", fmt.Errorf("status %d: %s", status, strings.TrimSpace(text))
		default:
			return text, nil
		}
	}
}

func cutStatus(answer []byte) (text string, status byte, complete bool) {
	end := len(answer) - 4
	if end < 0 || !bytes.Equal(answer[end:end+3], []byte{0, 0, 0}) {
		return "", 0, false
	}
	return string(answer[:end]), answer[end+3], true
}

func askJSON(ctx context.Context, socket, question string, into any) error {
	answer, err := askVTY(ctx, socket, "enable", question)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(answer), into); err != nil {
		return fmt.Errorf("%s: %w: %s", question, err, answer)
	}
	return nil
}

// Tell has FRR's bgpd do lines of configuration one after the other, without a
// restart, such as "router bgp 64513" and "no neighbor 172.30.0.11". BIRD has no
// such thing.
func (r *Routing) Tell(ctx context.Context, lines ...string) error {
	if _, ok := r.engine.(frr); !ok {
		return fmt.Errorf("telling %s: it is not FRR", r.on)
	}
	questions := append([]string{"enable", "configure terminal"}, lines...)
	if _, err := askVTY(ctx, filepath.Join(r.dir, "bgpd.vty"), questions...); err != nil {
		return fmt.Errorf("telling %s: %w", r.on, err)
	}
	return nil
}

func (frr) neighbours(ctx context.Context, dir string) (all []NeighbourState, err error) {
	var seen map[string]struct {
		State     string     `json:"bgpState"`
		UpMsec    int64      `json:"bgpTimerUpMsec"`
		ID        netip.Addr `json:"remoteRouterId"`
		Hold      int64      `json:"bgpTimerHoldTimeMsecs"`
		Keepalive int64      `json:"bgpTimerKeepAliveIntervalMsecs"`
		Messages  struct {
			Updates int `json:"updatesRecv"`
		} `json:"messageStats"`
		Families map[string]struct {
			Prefixes int `json:"acceptedPrefixCounter"`
		} `json:"addressFamilyInfo"`
	}
	if err := askJSON(ctx, filepath.Join(dir, "bgpd.vty"), "show bgp neighbors json", &seen); err != nil {
		return nil, err
	}
	for address, n := range seen {
		addr, err := netip.ParseAddr(address)
		if err != nil {
			return nil, err
		}
		state := NeighbourState{Address: addr, State: n.State, Up: time.Duration(n.UpMsec) * time.Millisecond, Updates: n.Messages.Updates}
		if state.Established() {
			state.ID, state.Hold, state.Keepalive = n.ID, time.Duration(n.Hold)*time.Millisecond, time.Duration(n.Keepalive)*time.Millisecond
		}
		for _, family := range n.Families {
			state.Prefixes += family.Prefixes
		}
		all = append(all, state)
	}
	return all, nil
}

// frrPath is a path as bgpd tells it.
type frrPath struct {
	ASPath struct {
		Segments []struct {
			List []uint32
		}
	} `json:"aspath"`
	LocalPref uint32 `json:"locPrf"`
	Community struct {
		List []string
	}
	LargeCommunity struct {
		List []string
	}
	Best struct {
		Overall bool
	} `json:"bestpath"`
	NextHops []struct {
		IP   netip.Addr
		Used bool
	}
	Peer struct {
		ID netip.Addr `json:"peerId"`
	}
}

func (frr) paths(ctx context.Context, dir string, prefix netip.Prefix) (all []Path, err error) {
	family := "ipv4"
	if prefix.Addr().Is6() {
		family = "ipv6"
	}
	var seen struct{ Paths []frrPath }
	question := fmt.Sprintf("show bgp %s unicast %s json", family, prefix)
	if err := askJSON(ctx, filepath.Join(dir, "bgpd.vty"), question, &seen); err != nil {
		return nil, err
	}
	for _, p := range seen.Paths {
		all = append(all, p.path())
	}
	return all, nil
}

func (p frrPath) path() Path {
	path := Path{
		From: p.Peer.ID, LocalPref: p.LocalPref, Best: p.Best.Overall,
		Communities: slices.Sorted(slices.Values(p.Community.List)), LargeCommunities: slices.Sorted(slices.Values(p.LargeCommunity.List)),
	}
	if path.LocalPref == 0 {
		path.LocalPref = 100 // what it reckons with, without saying so
	}
	for _, segment := range p.ASPath.Segments {
		path.ASPath = append(path.ASPath, segment.List...)
	}
	for _, hop := range p.NextHops {
		if hop.Used || len(p.NextHops) == 1 {
			path.NextHop = hop.IP
		}
	}
	return path
}

func (frr) bfd(ctx context.Context, dir string) (map[netip.Addr]string, error) {
	var seen []struct {
		Peer   netip.Addr
		Status string
	}
	if err := askJSON(ctx, filepath.Join(dir, "bfdd.vty"), "show bfd peers json", &seen); err != nil {
		return nil, err
	}
	states := map[netip.Addr]string{}
	for _, s := range seen {
		states[s.Peer] = strings.ToUpper(s.Status)
		if s.Status == "shutdown" {
			states[s.Peer] = "ADMINDOWN"
		}
	}
	return states, nil
}
