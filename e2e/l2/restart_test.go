//go:build linux

package l2

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
)

// rest is how long the load goes on between two events: long enough for
// sessions to come up, and for clients to forget their neighbours.
const rest = 1500 * time.Millisecond

// Rules stay in the kernel while a speaker is away: an upgrade should cost
// nobody a page, and break no connection.
func restartsSpeaker(g *ground) {
	g.restarts(g.stopSpeaker)
}

// A crash should cost no more.
func killsSpeaker(g *ground) {
	g.restarts(func(p *lab.Program) { p.Kill() })
}

// restarts ends the speaker of each owner for a while, under load.
func (g *ground) restarts(end func(p *lab.Program)) {
	w, l := g.guard(g.web), g.load(g.web)
	for _, node := range w.before.nodes() {
		p := g.Speaker(node)
		end(p)
		l.pass(rest)
		g.must(p.Start())
		g.ready(node)
		l.pass(rest)
	}
	l.nothingLost()
	w.nothingMoved()
}

// stopSpeaker ends one as Kubernetes does.
func (g *ground) stopSpeaker(p *lab.Program) {
	ctx, cancel := context.WithTimeout(g.ctx, lab.Patience)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		g.t.Errorf("a speaker should exit with status 0 when it is asked to stop: %v\n%s", err, p.Tail(5))
	}
}

// What a DaemonSet does at an upgrade.
func rollsSpeakers(g *ground) {
	w, l := g.guard(g.web), g.load(g.web)
	for _, n := range g.Nodes {
		p := g.Speaker(n.Name)
		g.stopSpeaker(p)
		g.must(p.Start())
		g.ready(n.Name)
	}
	l.pass(rest)
	l.nothingLost()
	w.nothingMoved()
}

// Two that answer with one voice today may disagree tomorrow.
func refusesSecondSpeaker(g *ground) {
	w, l := g.guard(g.web), g.load(g.web)
	for _, node := range w.before.nodes() {
		second, err := g.RunSpeaker(g.Node(node))
		g.must(err)
		g.until("it ends", func(context.Context) (bool, error) { return !second.Running(), nil })
		err = second.Stop(g.ctx)
		if exit := (&exec.ExitError{}); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			g.t.Errorf("its status should be 1: %v", err)
		}
		if said := second.Tail(1); !strings.Contains(said, "another speaker runs on node "+node) {
			g.t.Errorf("it says %q", said)
		}
	}
	l.pass(rest)
	l.nothingLost()
	w.nothingMoved()
}

// A speaker that gets no processor for a while is not a node that is down.
func stallsSpeakers(g *ground) {
	w := g.guard(g.web)
	for range 2 {
		busy := exec.CommandContext(g.ctx, "sh", "-c", "while :; do :; done")
		g.must(busy.Start())
		defer func() {
			_ = busy.Process.Kill()
			_ = busy.Wait()
		}()
	}
	l := g.load(g.web)
	for _, node := range candidates() {
		p := g.Speaker(node)
		p.Pause()
		l.pass(time.Second)
		p.Resume()
		l.pass(time.Second / 2)
	}
	l.nothingLost()
	w.nothingMoved()
}

// Nobody can stand in for ever: what is not looked after moves, without loss,
// and for good.
func losesSpeaker(g *ground) {
	before := g.settled(g.web)
	gone := before.nodes()[0]
	p := g.Speaker(gone)
	l := g.pagesOnly(g.web)
	began := time.Now()
	p.Kill()
	after := g.elsewhere(before, gone)
	if took := time.Since(began); took < standInLimit*3/4 || took > standInLimit*3/2 {
		g.t.Errorf("its addresses moved after %s, the limit is %s", took, standInLimit)
	}
	back := g.watch(g.web, after)
	g.must(p.Start())
	g.ready(gone)
	l.pass(2 * time.Second)
	l.nothingLost()
	back.oneOwner()
}
