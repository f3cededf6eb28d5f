package aws

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// dieWith has a controller killed with its nth call that changes something, of
// which it does not see the answer, and returns when it is gone.
func (l *lab) dieWith(c *controller, nth int64) {
	l.t.Helper()
	c.ended = true
	var changes atomic.Int64
	l.account.OnCall(func(call fakeaws.Call) {
		if call.Changes() && changes.Add(1) == nth {
			c.Signal(syscall.SIGKILL)
		}
	})
	defer l.account.OnCall(nil)
	l.eventually(func() error {
		select {
		case <-c.Done():
			return nil
		default:
			return fmt.Errorf("%d of %d calls have changed something", changes.Load(), nth)
		}
	})
}

// Whenever a controller dies, the next one goes on: all are served, nothing is
// there twice, and nothing is left in the end.
func TestKilled(t *testing.T) {
	t.Parallel()
	const services = 30
	l := newLab(t, "killed", swift())
	name := func(i int) string { return fmt.Sprintf("web-%02d", i) }
	for i := range services {
		l.create(name(i))
	}
	for _, nth := range []int64{1, 20, 45, 70} {
		l.dieWith(l.start(), nth)
	}
	c := l.start()
	for i := range services {
		l.served(name(i))
	}
	dump := "\n" + l.account.Dump()
	for text, want := range map[string]int{
		"\nload balancer ": services, "\n  listener ": services, "\ntarget group ": services, "\n  target ": services * nodes,
		": [k8s] Managed SecurityGroup": services, ": [k8s] Shared Backend SecurityGroup": 1,
	} {
		l.must(check.Is(fmt.Sprintf("how often there is %q", text), strings.Count(dump, text), want))
	}
	// The group of the nodes has room for 60 rules, which others need too.
	if rules := strings.Count(dump, "berth-lb.dev/backend="); rules > 20 {
		t.Errorf("the nodes let load balancers in by %d rules, want 20 at most", rules)
	}
	if out := l.dryRun(); out != "" {
		t.Errorf("a dry run still says:\n%s", out)
	}

	l.must(l.api.DeleteAllOf(t.Context(), &corev1.Service{}, client.InNamespace(l.apps)))
	for _, nth := range []int64{5, 25} {
		l.dieWith(c, nth)
		c = l.start()
	}
	for i := range services {
		l.gone(name(i))
	}
	l.empty()
}
