package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

const (
	// patient is how long a request may take before it counts as lost: one may
	// wait for a second question of who has the address.
	patient = 3 * time.Second
	// aside is how long there is load before something is done, and after it.
	aside = time.Second
	// flushPace is how often the client forgets who has an address.
	flushPace = time.Second
	// away is how long a speaker stays away.
	away = time.Second
)

// toll is what became of the load during some rounds.
type toll struct {
	requests, lost int
	// cutShort of the lost were connections that had a pod when the address
	// moved: the way through a node is known to that node alone.
	cutShort           int
	slowest            time.Duration
	datagrams, missing int
	talks, survived    int
	moves              int
}

// way is one of those in which a speaker or a node is taken out.
type way struct {
	name   string
	drains bool // the owner's node has a pod, which ends
	local  bool // the Service follows its pods
	moves  bool // its addresses leave the node
	do     func(ctx context.Context, s *site.Site, owner *lab.Node) error
	undo   func(ctx context.Context, s *site.Site, owner *lab.Node) error
}

// measureRolling takes speakers and nodes out by intention, while a client that
// keeps forgetting who has an address asks for a page each 5 ms and keeps one
// connection.
func measureRolling(ctx context.Context, b *bench) error {
	return withFront(ctx, func(s *site.Site) error {
		for _, w := range ways() {
			var t toll
			for i := range b.restarts {
				if err := t.round(ctx, s, w, i); err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
			}
			b.add(t.figure(w, b.restarts))
		}
		return nil
	})
}

func ways() []way {
	nothing := func(context.Context, *site.Site, *lab.Node) error { return nil }
	return []way{
		{name: "the owner's speaker: SIGTERM, start after 1 s", undo: nothing,
			do: func(ctx context.Context, s *site.Site, owner *lab.Node) error {
				return restart(ctx, s, owner, func(p *lab.Program) error { return p.Stop(ctx) })
			}},
		{name: "the owner's speaker: SIGKILL, start after 1 s", undo: nothing,
			do: func(ctx context.Context, s *site.Site, owner *lab.Node) error {
				return restart(ctx, s, owner, func(p *lab.Program) error { p.Kill(); return nil })
			}},
		{name: "all speakers, one after the other: SIGTERM, start", undo: nothing, do: restartAll},
		{name: "the owner's node excluded from load balancers", moves: true,
			do: func(ctx context.Context, s *site.Site, owner *lab.Node) error {
				return exclude(ctx, s, owner, true)
			},
			undo: func(ctx context.Context, s *site.Site, owner *lab.Node) error {
				return exclude(ctx, s, owner, false)
			}},
		{name: "the owner's node drained of a pod", drains: true, do: drain, undo: uncordon},
		{name: "the same, externalTrafficPolicy Local", drains: true, local: true, moves: true, do: drain, undo: uncordon},
	}
}

func restart(ctx context.Context, s *site.Site, n *lab.Node, end func(*lab.Program) error) error {
	speaker := s.Speaker(n.Name)
	if err := end(speaker); err != nil {
		return err
	}
	if err := pause(ctx, away); err != nil {
		return err
	}
	if err := speaker.Start(); err != nil {
		return err
	}
	return ready(ctx, s, n)
}

func restartAll(ctx context.Context, s *site.Site, _ *lab.Node) error {
	for i, n := range s.Nodes {
		if err := s.Speakers[i].Stop(ctx); err != nil {
			return err
		}
		if err := s.Speakers[i].Start(); err != nil {
			return err
		}
		if err := ready(ctx, s, n); err != nil {
			return err
		}
	}
	return nil
}

// drain cordons the node and ends its pods as an eviction does: they answer for
// as long as they are given.
func drain(ctx context.Context, s *site.Site, n *lab.Node) error {
	if err := cordon(ctx, s, n, true); err != nil {
		return err
	}
	pods := n.Pods()
	for _, pod := range pods {
		if err := pod.Terminate(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	var errs error
	for _, pod := range pods {
		errs = errors.Join(errs, pod.Delete(ctx))
	}
	return errs
}

func uncordon(ctx context.Context, s *site.Site, n *lab.Node) error { return cordon(ctx, s, n, false) }

func cordon(ctx context.Context, s *site.Site, n *lab.Node, closed bool) error {
	return change(ctx, s, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}, func(o *corev1.Node) {
		o.Spec.Unschedulable = closed
	})
}

// round takes out what owns a Service of its own.
func (t *toll) round(ctx context.Context, s *site.Site, w way, number int) error {
	svc, err := serveRound(ctx, s, w, number)
	if err != nil {
		return err
	}
	defer func() { _ = s.API.Delete(ctx, svc) }()
	addrs := site.Addresses(svc)
	owner, err := awaitOwner(ctx, s, addrs, nil)
	if err != nil {
		return err
	}
	if err := awaitPages(ctx, s, s.Clients[0], addrs); err != nil {
		return err
	}
	load, err := startLoad(ctx, s, addrs, w)
	if err != nil {
		return err
	}
	err = errors.Join(pause(ctx, aside), w.do(ctx, s, owner), pause(ctx, aside))
	if err := errors.Join(err, load.stop(t)); err != nil {
		return err
	}
	after, err := awaitOwner(ctx, s, addrs, nil)
	if err != nil {
		return err
	}
	if after != owner {
		t.moves++
	}
	return w.undo(ctx, s, owner)
}

// serveRound creates the Service. Where a node is drained, there are pods on it
// and on another node that may announce.
func serveRound(ctx context.Context, s *site.Site, w way, number int, change ...func(*corev1.Service)) (*corev1.Service, error) {
	serving := app
	policy := corev1.ServiceExternalTrafficPolicyCluster
	if w.local {
		policy = corev1.ServiceExternalTrafficPolicyLocal
	}
	if w.drains {
		serving = fmt.Sprintf("drained-%t-%d", w.local, number)
		for _, n := range s.Nodes[:2] {
			if _, err := n.StartPod(ctx, namespace, serving+"-"+n.Name, serving); err != nil {
				return nil, err
			}
		}
	}
	change = append(change, func(svc *corev1.Service) { svc.Spec.ExternalTrafficPolicy = policy })
	return s.Serve(ctx, fmt.Sprintf("round-%d", time.Now().UnixNano()), serving, change...)
}

func (t *toll) figure(w way, rounds int) figure {
	talks := "connection survived: not asked, its pod ends"
	if t.talks > 0 {
		talks = fmt.Sprintf("%d of %d connections survived", t.survived, t.talks)
	}
	target := "0 lost, all connections survive, no move"
	met := t.lost == 0 && t.missing == 0 && t.survived == t.talks && t.moves == 0
	if w.moves {
		target, met = "0 lost", t.lost == 0 && t.missing == 0 && t.moves == rounds
	}
	lost := fmt.Sprint(t.lost)
	if t.cutShort > 0 {
		lost += fmt.Sprintf(" (%d under way at a move)", t.cutShort)
	}
	if t.datagrams > 0 {
		talks += fmt.Sprintf("; datagrams lost: %d of %d", t.missing, t.datagrams)
	}
	return figure{
		What:     fmt.Sprintf("%s, %d rounds: requests lost", w.name, rounds),
		Measured: fmt.Sprintf("%s of %d, slowest %s; %s; %d moves", lost, t.requests, brieflyMS(t.slowest), talks, t.moves),
		Limit:    "a request each 5 ms and family, neighbours forgotten each second",
		Target:   target,
		Met:      met,
	}
}
