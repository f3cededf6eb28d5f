//go:build linux

package lab_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
)

// both is a router of each software.
var both = []lab.RouterOptions{{Software: lab.FRR, Change: patientBFD}, {Software: lab.BIRD, Change: patientBFD}}

// patientBFD lets a busy machine stall for a second without the loss of a session.
func patientBFD(c *lab.BGPConfig) {
	c.BFD = lab.BFDTimers{Interval: 500 * time.Millisecond, Multiplier: 5}
}

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

// routed is a lab where node1 announces by FRR and node2 by BIRD the way to a pod
// of node1, and node3 nothing.
type routed struct {
	*lab.Lab
	t       *testing.T
	pod     *lab.Pod
	pods    [2]netip.Prefix
	daemons []*lab.Routing
}

func newRouted(t *testing.T) *routed {
	t.Helper()
	began := time.Now()
	l := lab.New(t, lab.Options{Clients: -1, Routers: both})
	t.Logf("three nodes and two routers took %s", time.Since(began))
	s := &routed{Lab: l, t: t}
	var err error
	if s.pod, err = l.Nodes[0].StartPod(t.Context(), "default", "web", "web"); err != nil {
		t.Fatal(err)
	}
	s.pods = [2]netip.Prefix{netip.PrefixFrom(s.pod.IPv4, 32), netip.PrefixFrom(s.pod.IPv6, 128)}
	for i, software := range []lab.Software{lab.FRR, lab.BIRD} {
		config := overIPv4(l.Nodes[i].DefaultBGP(s.pods[:]...))
		if software == lab.FRR {
			config.Extra = "route-map own permit 10\n set community 64500:2 64500:1\n set large-community 64500:1:2\n"
		}
		d, err := l.Nodes[i].RunBGP(t.Context(), software, config)
		if err != nil {
			t.Fatal(err)
		}
		s.daemons = append(s.daemons, d)
	}
	return s
}

// overIPv4 leaves one session a router, over which both families come: by two,
// a prefix would have two next hops that are one node.
func overIPv4(c lab.BGPConfig) lab.BGPConfig {
	c.Neighbours = slices.DeleteFunc(c.Neighbours, func(n lab.BGPNeighbour) bool { return n.Address.Is6() })
	return c
}

// sees returns when a router sends packets for the pod to these nodes.
func (s *routed) sees(r *lab.Router, nodes ...*lab.Node) (since time.Time) {
	s.t.Helper()
	var hops []netip.Addr
	for _, n := range nodes {
		hops = append(hops, n.IPv4)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), lab.Patience)
	defer cancel()
	since, err := r.AwaitRoute(ctx, s.pods[0], hops...)
	if err != nil {
		s.t.Fatalf("%v; it says\n%s", err, r.Log(20))
	}
	return since
}

// watches waits until a router has BFD with both nodes that announce: a session of
// BGP is up before, and what breaks then takes the hold time.
func (s *routed) watches(r *lab.Router) {
	s.t.Helper()
	eventually(s.t, "BFD is up at "+r.Name, func(ctx context.Context) bool {
		states, err := r.BFD(ctx)
		return err == nil && states[s.Nodes[0].IPv4] == "UP" && states[s.Nodes[1].IPv4] == "UP" && states[s.Nodes[2].IPv4] != "UP"
	})
}

func (s *routed) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// One lab serves all of this; each part leaves it as it was.
func TestRouters(t *testing.T) {
	s := newRouted(t)
	for _, part := range []struct {
		name string
		test func(*routed)
	}{
		{"a client behind a router reaches a pod in both families, by two nodes", reachesFromBehind},
		{"routers tell of neighbours, paths and BFD", tellsWhatItKnows},
		{"a prefix comes and goes", followsAnnouncements},
		{"a partition ends one session", partitionsRouter},
		{"a node without power is out by BFD", losesAnnouncer},
		{"a router is stopped and started", stopsRouter},
		{"a router is killed and started", killsRouter},
		{"a router is paused", pausesRouter},
	} {
		t.Run(part.name, func(t *testing.T) {
			s.t = t
			part.test(s)
		})
	}
}

func reachesFromBehind(s *routed) {
	for _, r := range s.Routers {
		s.sees(r, s.Nodes[0], s.Nodes[1])
		for _, addr := range []netip.Addr{s.pod.IPv4, s.pod.IPv6} {
			eventually(s.t, fmt.Sprintf("%s reaches %s", r.Remote.Name, addr), func(ctx context.Context) bool {
				status, _, err := r.Remote.Get(ctx, url(addr))
				return err == nil && status == http.StatusOK
			})
		}
		if from, err := r.Remote.SeenAs(s.t.Context(), url(s.pod.IPv6)); err != nil || from != r.Remote.IPv6 {
			s.t.Errorf("the pod saw the client as %s (%v), want %s", from, err, r.Remote.IPv6)
		}
		probes, err := r.Remote.Probe(lab.ProbeOptions{Ports: 16}, netip.AddrPortFrom(s.pod.IPv4, lab.EchoPort))
		s.must(err)
		eventually(s.t, "probes are answered", func(context.Context) bool { return probes.Progress(0).Answered > 50 })
		if trace := probes.Stop()[0]; trace.Lost() > 0 {
			s.t.Errorf("probes of %s: %s", r.Remote.Name, trace)
		}
	}
}

func tellsWhatItKnows(s *routed) {
	for _, r := range s.Routers {
		var neighbours map[netip.Addr]lab.NeighbourState
		// FRR counts whole seconds, and the families come one after the other.
		eventually(s.t, r.Name+" tells since when, and has both families", func(ctx context.Context) bool {
			var err error
			neighbours, err = r.Neighbours(ctx)
			s.must(err)
			one, two := neighbours[s.Nodes[0].IPv4], neighbours[s.Nodes[1].IPv4]
			return one.Up > 0 && two.Up > 0 && one.Prefixes == 2 && two.Prefixes == 2
		})
		if len(neighbours) != 6 {
			s.t.Errorf("%s has neighbours %v, want two of each of three nodes", r.Name, neighbours)
		}
		for i, n := range s.Nodes {
			got := neighbours[n.IPv4]
			if announces := i < 2; got.Established() != announces || announces && got.Updates < 2 {
				s.t.Errorf("%s sees %s as %+v", r.Name, n.Name, got)
			}
			if announces := i < 2; announces && (got.ID != n.IPv4 || got.Hold != 90*time.Second || got.Keepalive != 30*time.Second) {
				s.t.Errorf("%s negotiated with %s %+v", r.Name, n.Name, got)
			}
		}
		paths, err := r.Paths(s.t.Context(), s.pods[0])
		s.must(err)
		for i, n := range s.Nodes[:2] {
			got := paths[n.IPv4]
			got.Best = false
			want := lab.Path{From: n.IPv4, NextHop: n.IPv4, ASPath: []uint32{lab.NodeASN}, LocalPref: 100}
			if i == 0 {
				want.Communities, want.LargeCommunities = []string{"64500:1", "64500:2"}, []string{"64500:1:2"}
			}
			if !reflect.DeepEqual(got, want) {
				s.t.Errorf("%s has from %s %+v, want %+v", r.Name, n.Name, got, want)
			}
		}
		if unknown, err := r.Paths(s.t.Context(), prefix("192.0.2.0/24")); err != nil || len(unknown) > 0 {
			s.t.Errorf("%s has %v (%v) for what nobody announces", r.Name, unknown, err)
		}
		s.watches(r)
	}
}

func followsAnnouncements(s *routed) {
	family := []string{"router bgp 64500", "address-family ipv4 unicast"}
	const rounds = 20
	var took [2]time.Duration
	for i := range rounds {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32)
		began := time.Now()
		s.must(s.daemons[0].Tell(s.t.Context(), append(family, "network "+p.String())...))
		for j, r := range s.Routers {
			since, err := r.AwaitRoute(s.t.Context(), p, s.Nodes[0].IPv4)
			s.must(err)
			took[j] += since.Sub(began)
		}
		s.must(s.daemons[0].Tell(s.t.Context(), append(family, "no network "+p.String())...))
		for _, r := range s.Routers {
			since, err := r.AwaitRoute(s.t.Context(), p)
			s.must(err)
			if since.Before(began) {
				s.t.Errorf("%s had lost %s before it was announced", r.Name, p)
			}
		}
	}
	for j, r := range s.Routers {
		s.t.Logf("%s has a prefix of FRR in the kernel after %s on average", r.Name, took[j]/rounds)
	}
	if r := s.Routers[0].Routes()[prefix("198.51.100.1/32")]; len(r.NextHops) > 0 {
		s.t.Errorf("a withdrawn prefix is listed by %v", r.NextHops)
	}
}

func partitionsRouter(s *routed) {
	cut := s.Routers[0]
	s.watches(cut)
	began := time.Now()
	s.must(s.Partition(cut, s.Nodes[1]))
	s.t.Logf("the route is changed after %s", s.sees(cut, s.Nodes[0]).Sub(began))
	s.sees(s.Routers[1], s.Nodes[0], s.Nodes[1])
	s.must(s.Heal())
	s.sees(cut, s.Nodes[0], s.Nodes[1])
}

func losesAnnouncer(s *routed) {
	for _, r := range s.Routers {
		s.watches(r)
	}
	began := time.Now()
	s.must(s.CutPower(s.Nodes[1]))
	for _, r := range s.Routers {
		s.t.Logf("the route of %s is changed after %s", r.Name, s.sees(r, s.Nodes[0]).Sub(began))
	}
	s.must(s.RestorePower(s.t.Context(), s.Nodes[1]))
	s.must(s.daemons[1].Restart(s.t.Context()))
	for _, r := range s.Routers {
		s.sees(r, s.Nodes[0], s.Nodes[1])
	}
}

func stopsRouter(s *routed) {
	for _, r := range s.Routers {
		s.must(r.Stop(s.t.Context()))
		s.sees(r)
		s.must(r.Start(s.t.Context()))
		s.sees(r, s.Nodes[0], s.Nodes[1])
	}
}

func killsRouter(s *routed) {
	for _, r := range s.Routers {
		r.Kill()
		if r.Running() {
			s.t.Errorf("%s runs", r.Name)
		}
		if left := r.Routes()[s.pods[0]]; len(left.NextHops) != 2 {
			s.t.Errorf("the kernel of %s should keep the route, and has %v", r.Name, left)
		}
		s.must(r.Start(s.t.Context()))
		eventually(s.t, "sessions are back", func(ctx context.Context) bool {
			all, err := r.Neighbours(ctx)
			return err == nil && all[s.Nodes[0].IPv4].Established() && all[s.Nodes[1].IPv4].Established()
		})
		s.sees(r, s.Nodes[0], s.Nodes[1])
	}
}

func pausesRouter(s *routed) {
	for _, r := range s.Routers {
		r.Pause()
		conn, err := s.Nodes[2].Dial(s.t.Context(), "tcp", netip.AddrPortFrom(r.IPv4, 179).String())
		if err != nil {
			s.t.Errorf("%s should accept and say nothing: %v", r.Name, err)
		} else {
			conn.Close()
		}
		r.Resume()
		s.sees(r, s.Nodes[0], s.Nodes[1])
	}
}
