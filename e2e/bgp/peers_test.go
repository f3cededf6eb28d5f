//go:build linux

package bgp

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// Of a hundred BGPPeers, a node has those three that select it: so many sessions
// and so many connections.
func selectsPeers(g *ground) {
	self := g.Nodes[0]
	const all = 100
	for i := range all - 4 {
		g.create(&v1beta2.BGPPeer{ObjectMeta: named(fmt.Sprint("elsewhere", i)), Spec: v1beta2.BGPPeerSpec{
			MyASN: lab.NodeASN, ASN: 64700, Address: fmt.Sprintf("172.30.3.%d", i+1),
			NodeSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"rack": "elsewhere"}}},
		}})
	}
	undo := g.peer(site.PeerName(g.Routers[1], corev1.IPv6Protocol), func(s *v1beta2.BGPPeerSpec) { s.NodeSelectors = on(g.Nodes[1:]...) })
	told := g.up(self, "3/3")
	if _, there := told[site.PeerName(g.Routers[1], corev1.IPv6Protocol)]; there {
		g.t.Errorf("%s tells of a session that is for others: %v", self.Name, told)
	}
	g.until("there are as many connections", func(context.Context) (bool, error) {
		n, err := connections(g.Speaker(self.Name).PID(), 179)
		if err == nil && n != 3 {
			err = fmt.Errorf("there are %d", n)
		}
		return err == nil, err
	})
	g.up(g.Nodes[1], "4/4")
	undo()
	g.up(self, "4/4")
}

// A router that refuses is tried again after the time that its BGPPeer says.
func triesAgain(g *ground) {
	const pause = 4 // seconds, twice the time of a BGPPeer that says none
	n := g.Nodes[0]
	g.create(&v1beta2.BGPPeer{ObjectMeta: named("refusing"), Spec: v1beta2.BGPPeerSpec{
		MyASN: lab.NodeASN, ASN: 64700, Address: g.Routers[0].Remote.IPv4.String(), EBGPMultiHop: true,
		ConnectTime: lasting(pause), NodeSelectors: on(n),
	}})
	g.fails(n)
	began := time.Now()
	g.fails(n)
	took := time.Since(began)
	g.t.Logf("tried again after %s", took)
	// Speakers take a quarter off at random (RFC 4271, section 10), and what a
	// counter says is seen later, the first time or the second.
	if took < 2250*time.Millisecond || took > 10*time.Second {
		g.t.Errorf("it was tried again after %s, want %d s", took, pause)
	}
}

// fails returns when one more connection of a node has been refused.
func (g *ground) fails(n *lab.Node) {
	g.t.Helper()
	count := func() int {
		failed, err := attemptsFailed(g.Speaker(n.Name).PID())
		g.must(err)
		return failed
	}
	before := count()
	g.until("a connection of "+n.Name+" is refused", func(context.Context) (bool, error) { return count() > before, nil })
}

// attemptsFailed is how many TCP connections of a process's network never came
// about (RFC 4022, tcpAttemptFails).
func attemptsFailed(pid int) (int, error) {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/snmp", pid))
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if fields[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		return strconv.Atoi(fields[slices.Index(names, "AttemptFails")])
	}
	return 0, fmt.Errorf("no counters of TCP in\n%s", table)
}

// connections counts those of a process's network, begun or established, to a
// TCP port.
func connections(pid int, port int) (n int, err error) {
	for _, name := range []string{"tcp", "tcp6"} {
		table, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, name))
		if err != nil {
			return 0, err
		}
		defer table.Close()
		lines := bufio.NewScanner(table)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) < 4 || fields[3] != "01" && fields[3] != "02" { // established, SYN sent
				continue
			}
			_, remote, _ := strings.Cut(fields[2], ":")
			if number, err := strconv.ParseUint(remote, 16, 16); err == nil && int(number) == port {
				n++
			}
		}
	}
	return n, nil
}

// A BGPPeer that is changed has its own session begin anew, and no other.
func restartsOneSession(g *ground) {
	svc := g.serve("changed", "web")
	g.announced(svc, g.Nodes...)
	r := g.Routers[0]
	before := g.begins()
	holds := func(seconds int) {
		for _, n := range g.Nodes {
			g.until(fmt.Sprintf("the session of %s with %s has a hold time of %d s", r.Name, n.Name, seconds), func(ctx context.Context) (bool, error) {
				all, err := r.Neighbours(ctx)
				return err == nil && all[n.IPv4].Established() && all[n.IPv4].Hold == lasting(seconds).Duration, err
			})
		}
	}
	undo := g.peer(site.PeerName(r, corev1.IPv4Protocol), func(s *v1beta2.BGPPeerSpec) { s.HoldTime = lasting(30) })
	holds(30)
	own := r.Name + " with 172."
	for session, began := range g.begins() {
		if anew := began.after(before[session]); anew != strings.HasPrefix(session, own) {
			g.t.Errorf("the session of %s began anew: %v", session, anew)
		}
	}
	g.announced(svc, g.Nodes...)
	undo()
	holds(90)
	g.announced(svc, g.Nodes...)
}
