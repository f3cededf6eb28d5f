//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// whole is the prefix of one address.
func whole(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

// of is the address of a station of the same family as another one.
func of(s *lab.Station, like netip.Addr) netip.Addr {
	if like.Is4() {
		return s.IPv4
	}
	return s.IPv6
}

// sees returns when one router sends packets for a Service to exactly these
// nodes.
func (g *ground) sees(r *lab.Router, svc *corev1.Service, nodes ...*lab.Node) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.ctx, site.Patience)
	defer cancel()
	for _, addr := range site.Addresses(svc) {
		var hops []netip.Addr
		for _, n := range nodes {
			hops = append(hops, of(&n.Station, addr))
		}
		_, err := r.AwaitRoute(ctx, whole(addr), hops...)
		g.must(err)
	}
}

// told returns when a router has heard of the addresses of a Service from all
// nodes what is right.
func (g *ground) told(r *lab.Router, svc *corev1.Service, what string, right func(lab.Path) bool) {
	g.t.Helper()
	for _, addr := range site.Addresses(svc) {
		g.until(fmt.Sprint(r.Name, " has ", addr, " ", what), func(ctx context.Context) (bool, error) {
			paths, err := r.Paths(ctx, whole(addr))
			for _, n := range g.Nodes {
				if path, ok := paths[of(&n.Station, addr)]; err == nil && (!ok || !right(path)) {
					return false, fmt.Errorf("it has %+v from %s", path, n.Name)
				}
			}
			return err == nil, err
		})
	}
}

// undisturbed begins a time in which no session may end, and returns what checks
// that.
func (g *ground) undisturbed() (check func()) {
	before := g.begins()
	return func() {
		g.t.Helper()
		for session, began := range g.begins() {
			if began.after(before[session]) {
				g.t.Errorf("the session of %s began anew: at first %v, then %v", session, before[session], began)
			}
		}
	}
}

// begin is when a session began: not before the first time and not after the
// second.
type begin [2]time.Time

func (b begin) after(other begin) bool { return b[0].After(other[1]) }

// begins are those of each session of each router, all of them established.
func (g *ground) begins() map[string]begin {
	g.t.Helper()
	all := map[string]begin{}
	for _, r := range g.Routers {
		g.until("the sessions of "+r.Name+" are established", func(ctx context.Context) (bool, error) {
			asked := time.Now()
			neighbours, err := r.Neighbours(ctx)
			for addr, n := range neighbours {
				if !n.Established() {
					return false, fmt.Errorf("that with %s is %s", addr, n.State)
				}
				// FRR counts whole seconds.
				all[fmt.Sprint(r.Name, " with ", addr)] = begin{asked.Add(-n.Up - time.Second), time.Now().Add(-n.Up)}
			}
			return err == nil, err
		})
	}
	return all
}

// sessions are those that a node reports, by peer.
func (g *ground) sessions(ctx context.Context, n *lab.Node) (up string, all map[string]v1beta1.BGPSession, err error) {
	status := &v1beta1.BGPNodeStatus{}
	if err := g.API.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: n.Name}, status); err != nil {
		return "", nil, err
	}
	all = map[string]v1beta1.BGPSession{}
	for _, s := range status.Status.Sessions {
		all[s.Peer] = s
	}
	return status.Status.Up, all, nil
}

// up returns when a node reports so many sessions of as many that are wanted.
func (g *ground) up(n *lab.Node, want string) map[string]v1beta1.BGPSession {
	g.t.Helper()
	var all map[string]v1beta1.BGPSession
	g.until(n.Name+" has sessions: "+want, func(ctx context.Context) (_ bool, err error) {
		var up string
		if up, all, err = g.sessions(ctx, n); err == nil && up != want {
			err = fmt.Errorf("it has %s: %+v", up, all)
		}
		return err == nil, err
	})
	return all
}

// serving returns the message of the condition once it is as it should be.
func (g *ground) serving(svc *corev1.Service, status metav1.ConditionStatus, reason string) (message string) {
	g.t.Helper()
	g.until(fmt.Sprintf("%s is Serving=%s %s", svc.Name, status, reason), func(ctx context.Context) (bool, error) {
		if err := g.API.Get(ctx, client.ObjectKeyFromObject(svc), svc); err != nil {
			return false, err
		}
		c := meta.FindStatusCondition(svc.Status.Conditions, "berth-lb.dev/Serving")
		if c == nil || c.Status != status || reason != "" && c.Reason != reason {
			return false, fmt.Errorf("it is %+v", c)
		}
		message = c.Message
		return true, nil
	})
	return message
}

// says fails the story unless a text has all of these parts.
func (g *ground) says(text string, parts ...string) {
	g.t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			g.t.Errorf("%q should be in %q", part, text)
		}
	}
}
