package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

const (
	// podStart is how long a container takes to be ready.
	podStart = 2 * time.Second / awsPace
	// noticing is how long AWS's health checks take to find out that a pod is
	// gone: three checks, ten seconds apart.
	noticing = 30 * time.Second / awsPace
)

// deployment is the pods of a Service, and their replacement as Kubernetes does
// that by default: a quarter more at most, rounded up, and a quarter of them
// away, rounded down.
type deployment struct {
	name, what string
	replicas   int
	gated      bool
	// lingers is how long a pod answers after it was told to end.
	lingers time.Duration
	// network tells its addresses from those of others.
	network int

	mu         sync.Mutex
	generation int
	started    int
	pods       []*pod // those that ended included
	opened     bool   // a gate, since the last step
	// requests were made; homeless found no target, late one that had ended.
	requests, homeless, late, replaced int
}

type pod struct {
	address    string
	generation int
	born       time.Time
	told       time.Time // to end; zero before
	running    bool
	gate       bool // is open
}

func (d *deployment) answers(p *pod, now time.Time) bool {
	return p.running && (p.told.IsZero() || now.Before(p.told.Add(d.lingers)))
}

func (d *deployment) ready(p *pod) bool { return p.running && p.told.IsZero() && (p.gate || !d.gated) }

// roll begins to replace all pods.
func (d *deployment) roll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
}

// moving says whether pods that are not wanted are still there.
func (d *deployment) moving() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.pods, func(p *pod) bool {
		return p.generation != d.generation && d.answers(p, time.Now())
	}) || d.count(d.ready) != d.replicas
}

func (d *deployment) count(which func(*pod) bool) (n int) {
	for _, p := range d.pods {
		if which(p) {
			n++
		}
	}
	return n
}

// step does what is due, and says whether an EndpointSlice would show it.
func (d *deployment) step(now time.Time) (changed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.pods {
		switch {
		case p.told.IsZero() && !p.running && now.Sub(p.born) >= podStart:
			p.running, changed = true, true
		case p.running && !d.answers(p, now):
			p.running, changed = false, true
		}
	}
	changed = d.replace(now) || d.opened || changed
	d.opened = false
	return changed
}

// replace starts and ends as many pods as it may.
func (d *deployment) replace(now time.Time) (changed bool) {
	spare := (d.replicas + 3) / 4
	away := d.replicas / 4
	current := func(p *pod) bool { return p.told.IsZero() && p.generation == d.generation }
	staying := func(p *pod) bool { return p.told.IsZero() }
	for d.count(current) < d.replicas && d.count(staying) < d.replicas+spare {
		d.start(now)
		changed = true
	}
	for _, p := range d.pods {
		if p.told.IsZero() && p.generation != d.generation && d.count(d.ready) > d.replicas-away {
			p.told, changed = now, true
			d.replaced++
		}
	}
	return changed
}

func (d *deployment) start(now time.Time) {
	d.started++
	d.pods = append(d.pods, &pod{address: fmt.Sprintf("10.0.%d.%d", 100+d.network, d.started), generation: d.generation, born: now})
}

// endpoints are those of an EndpointSlice, which has pods until they are gone.
func (d *deployment) endpoints() (all []discoveryv1.Endpoint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.pods {
		if p.told.IsZero() || d.answers(p, time.Now()) {
			all = append(all, discoveryv1.Endpoint{Addresses: []string{p.address}, Conditions: discoveryv1.EndpointConditions{
				Ready: new(d.ready(p)), Serving: new(p.running), Terminating: new(!p.told.IsZero()),
			}})
		}
	}
	return all
}

// waiting are the pods that are ready but for their gate.
func (d *deployment) waiting() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	addresses := map[string]bool{}
	for _, p := range d.pods {
		if d.gated && !p.gate && p.running && p.told.IsZero() {
			addresses[p.address] = true
		}
	}
	return addresses
}

// open opens the gates of pods that nothing is in the way of.
func (d *deployment) open(trouble map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.pods {
		if trouble, waits := trouble[p.address]; waits && trouble == "" && !p.gate {
			p.gate, d.opened = true, true
		}
	}
}

// passes says whether a health check finds that a pod answers: it notices late
// that one does not any more.
func (d *deployment) passes(address string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.pods, func(p *pod) bool {
		return p.address == address && (p.running || !p.told.IsZero() && now.Before(p.told.Add(d.lingers+noticing)))
	})
}

// request is sent to one of targets.
func (d *deployment) request(targets []fakeaws.Target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests++
	if len(targets) == 0 {
		d.homeless++
		return
	}
	target := targets[d.requests%len(targets)]
	if !slices.ContainsFunc(d.pods, func(p *pod) bool { return p.address == target.ID && d.answers(p, time.Now()) }) {
		d.late++
	}
}
