package speaker

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/berth-lb/berth/trafficpolicy"
)

const (
	// nodePace is how often kube-proxy is asked, servicePace a Service.
	nodePace    = time.Second
	servicePace = 2 * time.Second
	// eagerPace is how often a Service is asked at first, while it says no: its
	// endpoint may have come just now, and kube-proxy be about to follow. eager is
	// how many questions that holds for.
	eagerPace = 100 * time.Millisecond
	eager     = 30
	// patience is how many questions in a row remain without an answer before
	// what was answered last no longer counts.
	patience = 3
	// askers is how many questions are asked at once.
	askers = 8
)

// wholeNode is what kube-proxy's own check is kept under among those of
// Services.
var wholeNode = types.NamespacedName{}

// gate asks the health checks that Services and their node have, again and
// again, and remembers what they answer.
type gate struct {
	ask func(ctx context.Context, port int32) trafficpolicy.Answer
	// changed is told, by another goroutine, whose answer is new. It must not
	// block.
	changed func(whose types.NamespacedName)
	// ended is told which port is not asked any more.
	ended func(port int32)
	queue workqueue.TypedDelayingInterface[types.NamespacedName]

	mu     sync.Mutex
	checks map[types.NamespacedName]*check
	// unasked counts the checks without an answer, and news is closed when
	// that changes.
	unasked int
	news    chan struct{}
}

// check is one health check.
type check struct {
	port   int32
	answer trafficpolicy.Answer
	asked  bool
	silent int // questions in a row without an answer
	// refused is how many questions were answered with no from the beginning on.
	refused int
}

func newGate(ask func(context.Context, int32) trafficpolicy.Answer, ended func(int32), changed func(types.NamespacedName)) *gate {
	return &gate{
		ask:     ask,
		changed: changed,
		ended:   ended,
		queue:   workqueue.NewTypedDelayingQueue[types.NamespacedName](),
		checks:  map[types.NamespacedName]*check{},
		news:    make(chan struct{}),
	}
}

// watch has port asked from now on and returns its answer; asked is false while
// there is none, not even silence, and then changed is told when there is.
func (g *gate) watch(whose types.NamespacedName, port int32) (answer trafficpolicy.Answer, asked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.checks[whose]
	if c == nil || c.port != port {
		if c == nil || c.asked {
			g.unasked++
		}
		if c != nil {
			g.ended(c.port)
		}
		c = &check{port: port}
		g.checks[whose] = c
		g.queue.Add(whose)
	}
	return c.answer, c.asked
}

// answer is the last one that there was; asked is false while there is none.
func (g *gate) answer(whose types.NamespacedName) (answer trafficpolicy.Answer, asked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.checks[whose]; c != nil {
		return c.answer, c.asked
	}
	return trafficpolicy.Silent, false
}

// forget ends what watch began.
func (g *gate) forget(whose types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.checks[whose]; c != nil {
		delete(g.checks, whose)
		if !c.asked {
			g.answered()
		}
		g.ended(c.port)
	}
}

// settle returns when each check that is watched has been asked once.
func (g *gate) settle(ctx context.Context) error {
	for {
		g.mu.Lock()
		unasked, news := g.unasked, g.news
		g.mu.Unlock()
		if unasked == 0 {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run asks until ctx ends.
func (g *gate) run(ctx context.Context) error {
	var all sync.WaitGroup
	for range askers {
		all.Go(func() {
			for g.askNext(ctx) {
			}
		})
	}
	<-ctx.Done()
	g.queue.ShutDown()
	all.Wait()
	return nil
}

func (g *gate) askNext(ctx context.Context) bool {
	whose, shutdown := g.queue.Get()
	if shutdown {
		return false
	}
	defer g.queue.Done(whose)
	g.mu.Lock()
	c := g.checks[whose]
	g.mu.Unlock()
	if c == nil {
		return true
	}
	answer := g.ask(ctx, c.port)
	if !g.watched(whose, c) {
		g.ended(c.port)
		return true
	}
	if ctx.Err() == nil && g.note(whose, c, answer) {
		g.changed(whose)
	}
	g.queue.AddAfter(whose, g.pace(whose, c))
	return true
}

// pace is how long until the next question.
func (g *gate) pace(whose types.NamespacedName, c *check) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case whose == wholeNode:
		return nodePace
	case c.answer == trafficpolicy.Unhealthy && c.refused < eager:
		return eagerPace
	}
	return servicePace
}

// watched says whether c has not been given up or replaced.
func (g *gate) watched(whose types.NamespacedName, c *check) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.checks[whose] == c
}

// note says whether the answer is news.
func (g *gate) note(whose types.NamespacedName, c *check, answer trafficpolicy.Answer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.checks[whose] != c {
		return false
	}
	if answer != trafficpolicy.Silent {
		c.silent = 0
	} else if c.silent++; c.silent < patience && c.asked {
		return false
	}
	if answer == trafficpolicy.Unhealthy {
		c.refused++
	} else {
		c.refused = eager
	}
	isNew := !c.asked || c.answer != answer
	c.answer = answer
	if !c.asked {
		c.asked = true
		g.answered()
	}
	return isNew
}

// answered counts one check less that waits for its first answer.
func (g *gate) answered() {
	g.unasked--
	close(g.news)
	g.news = make(chan struct{})
}
