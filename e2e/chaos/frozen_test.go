package chaos

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

// A leader is frozen for longer than its lease lasts, while another takes over
// and gives the same addresses to others, and then goes on as if nothing had
// happened.
func TestFrozenLeader(t *testing.T) {
	s := seed(t)
	rounds := number(t, "CHAOS_FREEZES", 5)
	const size = 120
	l := newLab(t, cluster.Options{ControllerManager: true})
	ctx := t.Context()
	// So few that each is given away at once when it comes free.
	check.Must(t, setPool(ctx, l.client, "main", true, span(steady4, size/3), span(steady6, size/8)))
	instances := []*instance{l.start(flags(l.kubeconfig, shortLease...)...), l.start(flags(l.kubeconfig, shortLease...)...)}

	storm, end := context.WithCancel(ctx)
	people := &crowd{client: l.client, services: size, pause: 30 * time.Millisecond}
	var group sync.WaitGroup
	finish := func() {
		end()
		group.Wait()
	}
	defer finish()
	group.Go(func() { people.run(storm, t, s, 6) })
	dice := dice(s, 3)
	for round := range rounds {
		leads, other := awaitLeader(t, instances)
		time.Sleep(between(dice, 500*time.Millisecond, 1500*time.Millisecond))
		freeze(leads.now)
		check.Eventually(t, time.Minute, func() error { return check.Is("the other controller leads", other.leads(), true) })
		time.Sleep(between(dice, 500*time.Millisecond, 3*time.Second))
		thaw(leads.now)
		thawed := time.Now()
		select {
		case <-leads.now.Done():
			t.Logf("round %d: the leader that was frozen ended %s after it was thawed", round+1, time.Since(thawed).Round(time.Millisecond))
		case <-time.After(30 * time.Second):
			t.Fatalf("round %d: a leader that was frozen for longer than its lease goes on for 30 s", round+1)
		}
		if !lostTheLease(leads.now) {
			t.Errorf("round %d: the leader that was frozen ended for another reason:\n%s", round+1, leads.now.Tail(10))
		}
		leads.now = l.run(leads.args...)
	}
	finish()
	l.calm(90*time.Second, "after the freezes")
}

func awaitLeader(t *testing.T, instances []*instance) (leads, other *instance) {
	t.Helper()
	check.Eventually(t, time.Minute, func() error {
		for _, i := range instances {
			i.tend()
		}
		leads, other = leader(instances)
		return check.Is("a controller leads", leads != nil, true)
	})
	return leads, other
}
