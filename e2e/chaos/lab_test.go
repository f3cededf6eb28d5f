package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// system is where the pools and the leader's lease are.
	system = "berth-system"
	// shop is where the Services are.
	shop = "shop"
	// stopsWithin is how long a controller may take to end on SIGTERM.
	stopsWithin = 15 * time.Second
	// restartPause is what a kubelet waits before it starts a container again
	// that ended by itself; less than it really is.
	restartPause = time.Second
)

// lab is a cluster with the custom resource definitions, and what runs in it.
type lab struct {
	*cluster.Cluster
	t          *testing.T
	client     client.WithWatch
	controller string // the binary
	ledger     *ledger
	// access is the controller's, as the chart has it, and kubeconfig the file that
	// gives it.
	access     *rest.Config
	kubeconfig string

	mu   sync.Mutex
	runs []*cluster.Process // of the controller
}

func newLab(t *testing.T, opts cluster.Options) *lab {
	t.Helper()
	opts.Audit = true
	controller, err := check.Controller()
	check.Must(t, err)
	l := &lab{t: t, controller: controller, Cluster: cluster.New(t, opts)}
	t.Cleanup(func() {
		if err := l.NothingRefused(); err != nil {
			t.Error(err)
		}
	})
	l.client, err = l.Client()
	check.Must(t, err)
	root, err := cluster.Root()
	check.Must(t, err)
	check.Must(t, l.Install(t.Context(), filepath.Join(root, "charts", "berth", "crds")))
	for _, name := range []string{system, shop} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		check.Must(t, l.client.Create(t.Context(), ns))
	}
	l.access, err = release.Account(t.Context(), l.Cluster, system, "controller")
	check.Must(t, err)
	l.kubeconfig, err = l.WriteKubeconfig("controller", l.access)
	check.Must(t, err)
	l.ledger = startLedger(t, l.client)
	t.Cleanup(l.readLogs)
	return l
}

// flags are those of every controller here: the backend that is tested, and
// nothing that takes a port.
func flags(kubeconfig string, more ...string) []string {
	return append([]string{
		"--kubeconfig", kubeconfig,
		"--default-backend", "pool",
		"--metrics-bind-address", "0",
		"--health-probe-bind-address", "0",
	}, more...)
}

// shortLease has leadership move within seconds.
var shortLease = []string{
	"--leader-elect-lease-duration", "2s",
	"--leader-elect-renew-deadline", "1500ms",
	"--leader-elect-retry-period", "300ms",
}

// run starts a controller once.
func (l *lab) run(args ...string) *cluster.Process {
	l.t.Helper()
	p, err := l.Run(l.t.Context(), l.controller, args...)
	check.Must(l.t, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = append(l.runs, p)
	return p
}

// instance is a controller that is started again whenever it ends.
type instance struct {
	lab  *lab
	args []string
	now  *cluster.Process
	// fell counts the ends that nobody asked for.
	fell int
}

func (l *lab) start(args ...string) *instance {
	l.t.Helper()
	return &instance{lab: l, args: args, now: l.run(args...)}
}

// kill ends the controller as a crash would, and starts it again at once.
func (i *instance) kill() {
	i.now.Kill()
	i.now = i.lab.run(i.args...)
}

// term asks the controller to stop, and starts it again once it has.
func (i *instance) term() {
	i.stop()
	i.now = i.lab.run(i.args...)
}

func (i *instance) stop() {
	i.lab.t.Helper()
	i.now.Term()
	select {
	case <-i.now.Done():
	case <-time.After(stopsWithin):
		i.lab.t.Errorf("a controller still ran %s after SIGTERM", stopsWithin)
		i.now.Kill()
	}
	if err := i.now.Wait(i.lab.t.Context()); err != nil && !lostTheLease(i.now) {
		i.lab.t.Errorf("a controller ended on SIGTERM with: %v; the end of its log:\n%s", err, i.now.Tail(10))
	}
}

// tend starts the controller again if it ended by itself.
func (i *instance) tend() {
	select {
	case <-i.now.Done():
	default:
		return
	}
	i.fell++
	if !lostTheLease(i.now) {
		i.lab.t.Errorf("a controller ended by itself; the end of its log:\n%s", i.now.Tail(10))
	}
	time.Sleep(restartPause)
	i.now = i.lab.run(i.args...)
}

// leads says whether the process that runs has become leader.
func (i *instance) leads() bool {
	text, _ := os.ReadFile(i.now.LogFile())
	return strings.Contains(strings.ToLower(string(text)), "successfully acquired lease")
}

// lostTheLease says whether a controller ended because it no longer leads, as
// it must.
func lostTheLease(p *cluster.Process) bool {
	return strings.Contains(p.Tail(20), "leader election lost")
}

// leader returns the instance that leads and another one; nil where none does.
func leader(instances []*instance) (leads, other *instance) {
	at := slices.IndexFunc(instances, (*instance).leads)
	if at < 0 {
		return nil, instances[0]
	}
	return instances[at], instances[(at+1)%len(instances)]
}

// readLogs ends the controllers and looks for what none may ever say.
func (l *lab) readLogs() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.runs {
		p.Kill()
		check.Logs(l.t, p.LogFile())
	}
	if !l.t.Failed() {
		return
	}
	for _, p := range l.runs[max(0, len(l.runs)-3):] {
		l.t.Logf("the end of %s:\n%s", p.LogFile(), p.Tail(30))
	}
}

// cpu is the time that a process has spent computing.
func cpu(t *testing.T, p *cluster.Process) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	check.Must(t, err)
	// The name, in parentheses, may hold spaces; utime and stime are the 12th
	// and 13th field behind it, in hundredths of a second.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	sys, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatalf("reading the times of process %d: %v, %v", p.PID(), err1, err2)
	}
	return time.Duration(user+sys) * 10 * time.Millisecond
}

// freeze stops a process where it is; thaw has it go on.
func freeze(p *cluster.Process) { p.Signal(syscall.SIGSTOP) }
func thaw(p *cluster.Process)   { p.Signal(syscall.SIGCONT) }

// number reads a setting of a run.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q: want a number from 1", name, text)
	}
	return n
}

// seed is that of all that is random in a test, for a run that failed to be
// made again: what the clients do is the same then, while the kernel and the
// network decide when.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64N(1_000_000)
	if os.Getenv("CHAOS_SEED") != "" {
		s = uint64(number(t, "CHAOS_SEED", 1))
	}
	t.Logf("CHAOS_SEED=%d", s)
	return s
}

func dice(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// between returns a duration between from and to.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}
