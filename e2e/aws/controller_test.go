package aws

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

// controller is a berth-controller that runs as a process of its own.
type controller struct {
	*cluster.Process
	t     *testing.T
	ended bool // by the test, which looks at how
}

// crashed says whether the controller ended by itself.
func (c *controller) crashed() bool {
	select {
	case <-c.Done():
		return !c.ended
	default:
		return false
	}
}

// flags are those of the lab's controllers.
func (l *lab) flags(more ...string) []string {
	return append(append(l.account.Flags(l.cluster),
		"--kubeconfig="+l.kubeconfig,
		"--namespace="+l.conf,
		"--load-balancer-class=aws="+l.class,
		"--leader-elect=false", // nobody waits for the lease of who was killed
		"--metrics-bind-address=0",
		"--health-probe-bind-address=0",
	), more...)
}

// start runs a controller in the lab's account.
func (l *lab) start(flags ...string) *controller {
	l.t.Helper()
	return l.startWith(l.account.Env(), flags...)
}

// startWith runs the program until the test ends; then it has to stop in order,
// and its log is looked through.
func (l *lab) startWith(env []string, flags ...string) *controller {
	l.t.Helper()
	p, err := cluster.StartProgram(background, cluster.Program{
		Binary: program, Args: l.flags(flags...), Env: env,
		Log: filepath.Join(l.t.TempDir(), "berth-controller.log"),
	})
	l.must(err)
	c := &controller{Process: p, t: l.t}
	l.started = append(l.started, c)
	l.t.Cleanup(func() {
		if !c.ended {
			c.stop()
		}
		c.readLog()
	})
	return c
}

// stop asks the controller to stop and has it exit with status 0.
func (c *controller) stop() {
	c.t.Helper()
	c.ended = true
	c.Term()
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	if err := c.Wait(ctx); err != nil {
		c.t.Errorf("berth-controller did not stop in order on SIGTERM: %v", err)
		c.Kill()
	}
}

// readLog fails the test for what must never be in a log, and shows the log of a
// test that failed.
func (c *controller) readLog() {
	check.Logs(c.t, c.LogFile())
	if c.t.Failed() {
		c.t.Logf("the log of berth-controller, process %d:\n%s", c.PID(), c.Tail(200))
	}
}

// dryRun returns what would be changed, as the program prints it.
func (l *lab) dryRun() string {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), program, l.flags("--dry-run")...)
	cmd.Env = append(os.Environ(), l.account.Env()...)
	out, err := cmd.Output()
	if err != nil {
		if failed, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		l.t.Fatalf("dry run: %v", err)
	}
	return string(out)
}
