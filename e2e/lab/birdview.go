//go:build linux

package lab

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// birdTime is how BIRD is told to write a time.
const birdTime = "2006-01-02 15:04:05.000"

// askBIRD puts a question to the daemon. Each line of an answer begins with a
// code and a dash, or with a space where the code is that of the line before;
// the last one has a space behind its code.
func askBIRD(ctx context.Context, dir, question string) (answer []string, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "bird.ctl"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	from := bufio.NewReader(conn)
	if _, err := readBIRD(from); err != nil { // its greeting
		return nil, err
	}
	if _, err := fmt.Fprintln(conn, question); err != nil {
		return nil, err
	}
	if answer, err = readBIRD(from); err != nil {
		return nil, fmt.Errorf("%s: %w", question, err)
	}
	return answer, nil
}

func readBIRD(from *bufio.Reader) (answer []string, err error) {
	const code = len("0000")
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimRight(line, "\n")
		switch {
		case len(line) <= code || strings.HasPrefix(line, " "):
			answer = append(answer, strings.TrimPrefix(line, " "))
			continue
		case line[0] >= '8' && line[:code] != birdUnknown:
			return nil, fmt.Errorf("BIRD says %s", line)
		}
		answer = append(answer, line[code+1:])
		if line[code] == ' ' {
			return answer, nil
		}
	}
}

// birdUnknown is the code by which BIRD says that it has no such route.
const birdUnknown = "8001"

// birdNeighbours are neighbours by the names of their protocols.
func birdNeighbours(ctx context.Context, dir string) (map[string]*NeighbourState, error) {
	answer, err := askBIRD(ctx, dir, "show protocols all")
	if err != nil {
		return nil, err
	}
	all := map[string]*NeighbourState{}
	var this *NeighbourState
	for _, line := range answer {
		if fields := strings.Fields(line); len(fields) > 5 && !strings.HasPrefix(line, " ") {
			if this = nil; fields[1] == "BGP" {
				this = &NeighbourState{Up: since(fields[4] + " " + fields[5])}
				all[fields[0]] = this
			}
			continue
		}
		if this != nil {
			this.read(line)
		}
	}
	return all, nil
}

func since(text string) time.Duration {
	began, err := time.ParseInLocation(birdTime, text, time.Local)
	if err != nil {
		return 0
	}
	return time.Since(began)
}

// read takes in one line of what BIRD says of a protocol.
func (n *NeighbourState) read(line string) {
	name, value, _ := strings.Cut(line, ":")
	fields := strings.Fields(value)
	if len(fields) == 0 {
		return
	}
	number, _ := strconv.Atoi(fields[0])
	switch strings.TrimSpace(name) {
	case "BGP state":
		n.State = fields[0]
	case "Neighbor ID":
		n.ID, _ = netip.ParseAddr(fields[0])
	case "Hold timer":
		n.Hold = ofTimer(fields[0])
	case "Keepalive timer":
		n.Keepalive = ofTimer(fields[0])
	case "Neighbor address":
		n.Address, _ = shownAddress(fields[0])
	case "Routes":
		n.Prefixes += number
	case "Import updates":
		n.Updates += number
	case "Import withdraws":
		n.Withdrawals += number
	}
}

// ofTimer reads what a timer of BIRD's is set to from text like 61.250/90.
func ofTimer(text string) time.Duration {
	_, whole, _ := strings.Cut(text, "/")
	seconds, _ := strconv.Atoi(whole)
	return time.Duration(seconds) * time.Second
}

func (bird) neighbours(ctx context.Context, dir string) (all []NeighbourState, err error) {
	named, err := birdNeighbours(ctx, dir)
	for _, n := range named {
		if !n.Established() {
			n.Up = 0
		}
		if n.Address.IsValid() { // a range has none
			all = append(all, *n)
		}
	}
	return all, err
}

func (bird) paths(ctx context.Context, dir string, prefix netip.Prefix) (all []Path, err error) {
	named, err := birdNeighbours(ctx, dir)
	if err != nil {
		return nil, err
	}
	answer, err := askBIRD(ctx, dir, "show route "+prefix.String()+" all")
	if err != nil {
		return nil, err
	}
	var this *Path
	for _, line := range answer {
		if name, ok := birdSource(line); ok {
			if this = nil; named[name] != nil {
				all = append(all, Path{From: named[name].Address, Best: strings.Contains(line, "] * ")})
				this = &all[len(all)-1]
			}
		}
		if this != nil {
			if err := this.read(strings.TrimSpace(line)); err != nil {
				return nil, fmt.Errorf("understanding %q: %w", line, err)
			}
		}
	}
	return all, nil
}

// birdSource names the protocol that a route is from, where one begins.
func birdSource(line string) (string, bool) {
	_, rest, begins := strings.Cut(line, "unicast [")
	name, _, _ := strings.Cut(rest, " ")
	return name, begins
}

// read takes in one line of what BIRD says of a route.
func (p *Path) read(line string) error {
	name, value, _ := strings.Cut(line, ": ")
	fields := strings.Fields(value)
	switch name {
	case "BGP.as_path":
		for _, field := range fields {
			as, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				return err
			}
			p.ASPath = append(p.ASPath, uint32(as))
		}
	case "BGP.next_hop":
		var err error
		p.NextHop, err = shownAddress(fields[0])
		return err
	case "BGP.local_pref":
		preference, err := strconv.ParseUint(fields[0], 10, 32)
		p.LocalPref = uint32(preference)
		return err
	case "BGP.community":
		p.Communities = birdCommunities(value)
	case "BGP.large_community":
		p.LargeCommunities = birdCommunities(value)
	}
	return nil
}

// birdCommunities are written as (64500,1) (64500,2), with spaces or without.
func birdCommunities(text string) (all []string) {
	for _, one := range strings.Split(strings.ReplaceAll(text, " ", ""), ")") {
		if one != "" {
			all = append(all, strings.ReplaceAll(strings.TrimPrefix(one, "("), ",", ":"))
		}
	}
	slices.Sort(all)
	return all
}

func (bird) bfd(ctx context.Context, dir string) (map[netip.Addr]string, error) {
	answer, err := askBIRD(ctx, dir, "show bfd sessions")
	if err != nil {
		return nil, err
	}
	states := map[netip.Addr]string{}
	for _, line := range answer {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		if addr, err := shownAddress(fields[0]); err == nil {
			states[addr] = strings.ToUpper(fields[2])
		}
	}
	return states, nil
}
