package chaos

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// untouched are Services that keep their addresses whatever happens to others.
var untouched = []string{"keep-0", "keep-1", "keep-2", "keep-3", "keep-4", "keep-5", "keep-6", "keep-7"}

// Two controllers are killed twenty times at any moment, while clients create,
// change and delete Services and pools come and go.
func TestKill(t *testing.T) {
	s := seed(t)
	rounds, size := number(t, "CHAOS_ROUNDS", 20), number(t, "CHAOS_SERVICES", 500)
	l := newLab(t, cluster.Options{ControllerManager: true})
	ctx := t.Context()
	keeper := &poolKeeper{client: l.client, size: size, dice: dice(s, 1)}
	check.Must(t, keeper.begin(ctx))
	instances := []*instance{l.start(flags(l.kubeconfig, shortLease...)...), l.start(flags(l.kubeconfig, shortLease...)...)}
	for _, name := range untouched {
		check.Must(t, l.client.Create(ctx, newService(name)))
	}
	l.calm(time.Minute, "before it begins")
	l.ledger.watchOver(untouched...)

	storm, end := context.WithCancel(ctx)
	people := &crowd{client: l.client, services: size, pause: 70 * time.Millisecond}
	var group sync.WaitGroup
	finish := func() {
		end()
		group.Wait()
	}
	defer finish()
	group.Go(func() { people.run(storm, t, s, 6) })
	group.Go(func() { keeper.run(storm, t) })
	killAtRandom(storm, instances, dice(s, 2), rounds)
	finish()

	l.calm(90*time.Second, "after the storm")
	check.Must(t, keeper.wide(ctx))
	a := l.calm(90*time.Second, "with addresses for all")
	for i := range a.services {
		if c := conditionOf(&a.services[i]); c != nil && c.Reason == "PoolExhausted" && a.services[i].Annotations[wantsPool] != "named" {
			t.Errorf("%s waits although the pools are wide: %s", a.services[i].Name, c.Message)
		}
	}
	l.ledger.release()
	check.Must(t, l.client.DeleteAllOf(ctx, &corev1.Service{}, client.InNamespace(shop)))
	leads, other := leader(instances)
	if leads == nil {
		leads = other
	}
	leads.kill()
	if a := l.calm(90*time.Second, "after the end of all Services"); len(a.services) > 0 {
		t.Errorf("%d Services are left", len(a.services))
	}
	fell := 0
	for _, i := range instances {
		i.stop()
		fell += i.fell
	}
	moves := transitions(t, l)
	t.Logf("leadership moved %d times; %d times a controller gave it up by itself", moves, fell)
	if moves < rounds/3 {
		t.Errorf("leadership moved %d times only in %d rounds", moves, rounds)
	}
}

// killAtRandom kills one of the instances, mostly the leader, at a random
// moment, in every fourth round by a signal that it may answer.
func killAtRandom(ctx context.Context, instances []*instance, dice *rand.Rand, rounds int) {
	for round := range rounds {
		select {
		case <-time.After(between(dice, 300*time.Millisecond, 6*time.Second)):
		case <-ctx.Done():
			return
		}
		for _, i := range instances {
			i.tend()
		}
		leads, other := leader(instances)
		victim := leads
		if victim == nil || dice.IntN(4) == 0 {
			victim = other
		}
		if round%4 == 3 {
			victim.term()
		} else {
			victim.kill()
		}
	}
}

func transitions(t *testing.T, l *lab) int {
	t.Helper()
	var lease coordinationv1.Lease
	check.Must(t, l.client.Get(t.Context(), client.ObjectKey{Namespace: system, Name: "berth-controller"}, &lease))
	if lease.Spec.LeaseTransitions == nil {
		return 0
	}
	return int(*lease.Spec.LeaseTransitions)
}

// poolKeeper edits the pools.
type poolKeeper struct {
	client client.Client
	size   int // of the crowd
	dice   *rand.Rand
}

// begin makes the pools that are there always: one for all, and one for those
// that name it.
func (k *poolKeeper) begin(ctx context.Context) error {
	if err := setPool(ctx, k.client, "named", false, span(named4, max(k.size/12, 2)), span(named6, max(k.size/20, 2))); err != nil {
		return err
	}
	return k.main(ctx, k.size/4, k.size/8)
}

// main sets how many addresses there are: of IPv4 beside those that always are.
func (k *poolKeeper) main(ctx context.Context, flex, six int) error {
	return setPool(ctx, k.client, "main", true, span(steady4, max(k.size*2/5, 20)), span(flex4, flex+1), span(steady6, max(six, 20)))
}

// run edits pools until ctx ends: what is there is too little now and then.
func (k *poolKeeper) run(ctx context.Context, t *testing.T) {
	for {
		select {
		case <-time.After(between(k.dice, 300*time.Millisecond, 2500*time.Millisecond)):
		case <-ctx.Done():
			return
		}
		var err error
		switch k.dice.IntN(5) {
		case 0, 1:
			err = k.main(ctx, k.dice.IntN(k.size/3+1), k.size/8)
		case 2, 3:
			n := 1 + k.dice.IntN(k.size/8+1)
			err = setPool(ctx, k.client, "extra", true, span(extra4, n), span(extra6, n))
		case 4:
			err = deletePool(ctx, k.client, "extra")
		}
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
}

// wide gives everybody enough.
func (k *poolKeeper) wide(ctx context.Context) error {
	if err := setPool(ctx, k.client, "extra", true, span(extra4, 2*k.size), span(extra6, 2*k.size)); err != nil {
		return err
	}
	return k.main(ctx, 2*k.size, 2*k.size)
}
