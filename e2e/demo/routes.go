//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// awaitHops returns when the router's kernel sends what is for the address to
// exactly these nodes, and since when.
func (r *routed) awaitHops(ctx context.Context, nodes ...*lab.Node) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var hops []netip.Addr
	for _, n := range nodes {
		hops = append(hops, n.IPv4)
	}
	return r.router.AwaitRoute(ctx, r.prefix, hops...)
}

// awaitSession returns when the router's session with a node is up, or is not.
func (r *routed) awaitSession(ctx context.Context, node *lab.Node, up bool) error {
	what := fmt.Sprintf("the session of %s with %s is as it should be", r.router.Name, node.Name)
	return r.lan.Await(ctx, what, func(ctx context.Context) (bool, error) {
		all, err := r.router.Neighbours(ctx)
		return err == nil && all[node.IPv4].Established() == up, err
	})
}

// showRoute shows the router's kernel send packets for the address to these nodes
// and no others.
func (r *routed) showRoute(ctx context.Context, nodes ...*lab.Node) error {
	var shown string
	err := r.lan.Await(ctx, r.router.Name+" shows the route", func(ctx context.Context) (ok bool, err error) {
		shown, err = r.ipRoute(ctx)
		return slices.Equal(r.shownIn(shown), names(nodes)), err
	})
	if err != nil {
		return fmt.Errorf("%w; it shows:\n%s", err, shown)
	}
	fmt.Printf("\n%s$ ip route show %s\n%swhich is to %s\n", r.router.Name, r.prefix, shown, strings.Join(r.shownIn(shown), ", "))
	return nil
}

// ipRoute is what ip says of the route at the router.
func (r *routed) ipRoute(ctx context.Context) (string, error) {
	var shown []byte
	err := cluster.InNetns(r.router.Netns(), func() (err error) {
		shown, err = exec.CommandContext(ctx, "ip", "route", "show", r.prefix.String()).CombinedOutput()
		return err
	})
	var all strings.Builder
	for line := range strings.Lines(string(shown)) {
		fmt.Fprintln(&all, strings.TrimRight(line, " \n"))
	}
	return all.String(), err
}

// shownIn names the nodes that are next hops in what ip says.
func (r *routed) shownIn(text string) []string {
	words := strings.Fields(text)
	return names(slices.DeleteFunc(slices.Clone(r.lan.Nodes), func(n *lab.Node) bool {
		return !slices.Contains(words, n.IPv4.String())
	}))
}

func names(nodes []*lab.Node) (all []string) {
	for _, n := range nodes {
		all = append(all, n.Name)
	}
	return all
}

// showSessions shows the reports of the speakers that say that all sessions are
// up, and that these nodes announce the address and no other does.
func (r *routed) showSessions(ctx context.Context, nodes []*lab.Node) error {
	shown, err := r.awaitReports(ctx, nodes)
	if err == nil {
		fmt.Printf("\n$ kubectl %s\n%s", strings.Join(reports, " "), shown)
	}
	return err
}

// reports is how kubectl is asked for them.
var reports = []string{"get", "bgpnodestatuses", "-n", site.Namespace}

// awaitReports returns the table of reports once all sessions are up and these
// nodes announce one prefix, and the others none.
func (s *stage) awaitReports(ctx context.Context, nodes []*lab.Node) (shown string, err error) {
	var want []string
	for _, n := range s.lan.Nodes {
		prefixes := 0
		if slices.Contains(nodes, n) {
			prefixes = 1
		}
		want = append(want, fmt.Sprintf("%s 2/2 %d", n.Name, prefixes))
	}
	err = s.lan.Await(ctx, "all sessions are up and reported", func(ctx context.Context) (ok bool, err error) {
		shown, err = s.kube.Kubectl(ctx, reports...)
		return slices.Equal(rows(shown), want), err
	})
	if err != nil {
		err = fmt.Errorf("%w; reported is:\n%s", err, shown)
	}
	return shown, err
}

// rows are the first three columns of a table without its head.
func rows(table string) (all []string) {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 3 && fields[0] != "NAME" {
			all = append(all, strings.Join(fields[:3], " "))
		}
	}
	return all
}
