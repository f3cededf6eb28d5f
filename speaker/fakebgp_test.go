package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/berth-lb/berth/announce"
)

// fakeBGP remembers what it was told, and is strict about repetitions.
type fakeBGP struct {
	bgp struct {
		mu       sync.Mutex
		peers    []announce.Peer
		routes   map[netip.Prefix][]announce.Path
		sessions map[string]Session
		synced   bool
		// calls are those since they were last taken.
		calls []string
	}
}

func newFakeBGP() *fakeBGP {
	f := &fakeBGP{}
	f.bgp.routes, f.bgp.sessions = map[netip.Prefix][]announce.Path{}, map[string]Session{}
	return f
}

func (f *fakeBGP) lock() func() {
	f.bgp.mu.Lock()
	return f.bgp.mu.Unlock
}

// asBGP is f as a BGP: layer 2 has methods of the same names.
type asBGP struct{ *fakeBGP }

func (f asBGP) SetPeers(peers []announce.Peer) {
	defer f.lock()()
	var names []string
	for i, p := range peers {
		names = append(names, p.Name)
		if i > 0 && peers[i-1].Name >= p.Name {
			panic("peers are not sorted")
		}
		if p.PasswordSecret != "" && p.Password == "" {
			panic("a peer without its password: " + p.Name)
		}
	}
	for name := range f.bgp.sessions {
		if !slices.Contains(names, name) {
			delete(f.bgp.sessions, name)
		}
	}
	f.bgp.peers = peers
	f.bgp.calls = append(f.bgp.calls, "peers "+strings.Join(names, " "))
}

func (f asBGP) Announce(prefix netip.Prefix, paths []announce.Path) {
	defer f.lock()()
	if old, ok := f.bgp.routes[prefix]; ok && samePaths(old, paths) {
		panic(fmt.Sprintf("announced twice: %v", prefix))
	}
	f.bgp.routes[prefix] = paths
	f.bgp.calls = append(f.bgp.calls, "announce "+prefix.String()+" "+told(paths))
}

func (f asBGP) Withdraw(prefix netip.Prefix) {
	defer f.lock()()
	if _, ok := f.bgp.routes[prefix]; !ok {
		panic(fmt.Sprintf("withdrawn and never announced: %v", prefix))
	}
	delete(f.bgp.routes, prefix)
	f.bgp.calls = append(f.bgp.calls, "withdraw "+prefix.String())
}

func (f asBGP) Synced() {
	defer f.lock()()
	if f.bgp.synced {
		panic("synced twice")
	}
	f.bgp.synced = true
	f.bgp.calls = append(f.bgp.calls, "synced")
}

func (f asBGP) Sessions() []Session {
	defer f.lock()()
	var all []Session
	for _, p := range f.bgp.peers {
		s := f.bgp.sessions[p.Name]
		s.Peer = p.Name
		if !s.Address.IsValid() {
			s.Address = p.Address
		}
		s.Prefixes = len(f.bgp.routes)
		all = append(all, s)
	}
	return all
}

// told is paths as text: "peer peer@local preference".
func told(paths []announce.Path) string {
	var all []string
	for _, p := range paths {
		text := strings.Join(p.Peers, "+")
		if p.LocalPref != 0 {
			text += fmt.Sprintf("@%d", p.LocalPref)
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

// takeCalls returns what was called since it was last asked.
func (f *fakeBGP) takeCalls() []string {
	defer f.lock()()
	all := f.bgp.calls
	f.bgp.calls = nil
	return all
}
