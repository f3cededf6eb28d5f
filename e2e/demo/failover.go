//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/lab"
)

const (
	// longestGap is how long a power cut may leave the client without answers.
	longestGap = time.Second
	// waited is how long a request took that TCP had to send once more: its
	// first retry comes after a second (RFC 6298, section 2).
	waited = 900 * time.Millisecond
)

// failover is what the acts on the segment are about.
type failover struct {
	visit
	// owners are the nodes that announce each address, owner that of address.
	owners map[netip.Addr]string
	owner  string
	// dark is the node whose power was cut.
	dark *lab.Node
}

// useAddress has the client ask for a page at the address of a Service, and
// shows who answers for it.
func (s *stage) useAddress(ctx context.Context) (*failover, error) {
	service := &corev1.Service{}
	if err := s.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "plain"}, service); err != nil {
		return nil, err
	}
	f := &failover{visit: s.visit(s.lan.Clients[0], service)}
	heading("A client on the network uses the address of plain")
	if err := f.get(ctx); err != nil {
		return nil, err
	}
	owners, err := s.lan.Owners(ctx)
	if err != nil {
		return nil, err
	}
	f.owners, f.owner = owners, owners[f.address]
	return f, inTurn(func() error { return f.showOwners(ctx) }, func() error { return f.showARP(ctx) })
}

// cutPower cuts that of the owner, under load.
func (f *failover) cutPower(ctx context.Context) error {
	heading("The power of " + f.owner + " is cut")
	dead := f.owner
	f.dark = f.lan.Node(dead)
	m := startMeter(f.client, f.url)
	err := inTurn(
		func() error { return m.watch(ctx, time.Second) },
		m.mark("power of "+dead+" cut"),
		func() error { return m.during(func() error { return f.lan.CutPower(f.dark) }) },
		func() error { return m.watch(ctx, 2*time.Second) },
	)
	trace := m.stop()
	if err != nil {
		return err
	}
	showGap(trace)
	if gap := trace.Gap(); gap > longestGap {
		return fmt.Errorf("after the power of %s was cut there was no answer for %v, longer than %v", dead, gap, longestGap)
	}
	if err := f.moved(ctx, dead); err != nil {
		return err
	}
	fmt.Printf("\nOthers announce now what %s did, and the rest stayed where it was. Nobody waited for\n"+
		"Kubernetes, which takes some 40 s to see that a node is gone:\n", dead)
	return inTurn(
		func() error { return f.showKubectl(ctx, "get", "nodes") },
		func() error { return f.showOwners(ctx) },
		func() error { return f.showARP(ctx) },
	)
}

// restorePower has the dead node back, under load.
func (f *failover) restorePower(ctx context.Context) error {
	heading("The power of " + f.dark.Name + " is back")
	load := f.client.Request(f.url, pace, patient)
	err := inTurn(
		func() error { return f.lan.RestorePower(ctx, f.dark) },
		func() error { return f.awaitSpeaker(ctx, f.dark) },
		func() error { return pause(ctx, time.Second) },
	)
	trace := load.Stop()
	if err != nil {
		return err
	}
	fmt.Printf("%s and its speaker are at work again. They leave every address where it is:\n", f.dark.Name)
	showLoad(trace)
	return errors.Join(f.unmoved(ctx, trace), f.showARP(ctx))
}

// restartSpeaker restarts that of the owner, under load.
func (f *failover) restartSpeaker(ctx context.Context) error {
	heading("The speaker of " + f.owner + " is restarted")
	fmt.Printf("Its addresses stay, since the node is alive: another speaker answers ARP in its name.\n"+
		"%s forgets twice a second who owns the address, and has to ask again.\n\n", f.client.Name)
	node, speaker := f.lan.Node(f.owner), f.lan.Speaker(f.owner)
	forget := f.client.KeepFlushing(time.Second / 2)
	m := startMeter(f.client, f.url)
	err := inTurn(
		func() error { return m.watch(ctx, time.Second/2) },
		m.mark("berth-speaker on "+f.owner+" told to end"),
		func() error { return m.during(func() error { return speaker.Stop(ctx) }) },
		func() error { return m.watch(ctx, time.Second) },
		func() error { return f.showStandIns(ctx, m) },
		m.mark("started again"),
		speaker.Start,
		func() error { return m.during(func() error { return f.awaitSpeaker(ctx, node) }) },
		m.mark("at work"),
		func() error { return m.watch(ctx, time.Second) },
	)
	trace := m.stop()
	if err := errors.Join(err, forget()); err != nil {
		return err
	}
	fmt.Println()
	showLoad(trace)
	return errors.Join(f.unmoved(ctx, trace), f.showARP(ctx))
}

// inTurn does one thing after the other, until one fails.
func inTurn(things ...func() error) error {
	for _, do := range things {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
