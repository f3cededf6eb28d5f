//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/cluster"
)

// Patience is how long a part of the lab may take to be ready.
const Patience = 30 * time.Second

// Options say what to build. The zero value is three nodes and a client,
// without Kubernetes.
type Options struct {
	// Nodes and Clients are how many there are: 3 and 1 if zero. A negative
	// number is none.
	Nodes, Clients int
	// Routers join the segment, each with a client behind it.
	Routers []RouterOptions
	// Cluster is the control plane that nodes and pods are part of, with its
	// controller manager. Without one, nodes are machines with addresses.
	Cluster *cluster.Cluster
	// WithoutKubeProxy leaves kube-proxy out.
	WithoutKubeProxy bool
}

// Lab is a LAN that runs.
type Lab struct {
	// All are in the order of their numbers.
	Nodes   []*Node
	Clients []*Client
	Routers []*Router

	opts    Options
	prefix  string
	dir     string
	ownsDir bool
	api     client.Client
	segment *segment
	stop    sync.Once

	mu       sync.Mutex
	enclaves []*Enclave
}

// Start returns when every node is on the segment, known to the API server,
// and its kube-proxy healthy, and when routers listen. What earlier processes left behind is removed
// first. An error that wraps ErrUnavailable says what this machine lacks.
func Start(ctx context.Context, opts Options) (*Lab, error) {
	l, err := prepare(opts)
	if err != nil {
		return nil, err
	}
	if err := l.start(ctx); err != nil {
		l.Stop()
		return nil, fmt.Errorf("building a lab: %w", err)
	}
	return l, nil
}

// New builds a lab that ends with the test. Where the machine can't have one,
// the test is skipped, or fails if CI=true is set.
func New(t testing.TB, opts Options) *Lab {
	t.Helper()
	stopWhenInterrupted()
	Require(t, opts.Routers...)
	l, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	interruptible.Store(l, true)
	t.Cleanup(func() {
		if t.Failed() && l.ownsDir {
			l.ownsDir = false
			t.Logf("the logs of the lab are in %s", l.dir)
		}
		l.Stop()
		interruptible.Delete(l)
	})
	return l
}

// Require skips the test where a lab with such routers can't run, or fails it if
// CI=true is set.
func Require(t testing.TB, routers ...RouterOptions) {
	t.Helper()
	switch err := Available(routers...); {
	case errors.Is(err, ErrUnavailable) && os.Getenv("CI") != "true":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}

// Available returns nil where a lab with such routers can run, or one line that
// wraps ErrUnavailable and says what is missing.
func Available(routers ...RouterOptions) error {
	if err := available("ip", "nft"); err != nil {
		return err
	}
	for _, r := range routers {
		if err := r.available(); err != nil {
			return err
		}
	}
	return nil
}

func prepare(opts Options) (*Lab, error) {
	if err := Available(opts.Routers...); err != nil {
		return nil, err
	}
	if opts.Nodes == 0 {
		opts.Nodes = 3
	}
	if opts.Clients == 0 {
		opts.Clients = 1
	}
	if opts.Nodes > MaxNodes || opts.Clients > MaxClients || len(opts.Routers) > MaxRouters {
		return nil, fmt.Errorf("a lab has room for %d nodes, %d clients and %d routers", MaxNodes, MaxClients, MaxRouters)
	}
	l := &Lab{opts: opts, prefix: newPrefix()}
	l.segment = newSegment(l.prefix)
	for i := range max(0, opts.Nodes) {
		l.Nodes = append(l.Nodes, newNode(l, i+1))
	}
	for i := range max(0, opts.Clients) {
		l.Clients = append(l.Clients, &Client{Station: clientStation(i+1, l.prefix)})
	}
	for i, r := range opts.Routers {
		l.Routers = append(l.Routers, newRouter(l, i+1, r))
	}
	return l, l.openDir()
}

func (l *Lab) openDir() (err error) {
	if l.opts.Cluster != nil {
		l.dir = l.opts.Cluster.Dir()
		l.api, err = l.opts.Cluster.Client()
		return err
	}
	l.ownsDir = true
	l.dir, err = os.MkdirTemp("", "berth-lab-")
	return err
}

func (l *Lab) start(ctx context.Context) error {
	if err := removeLeftovers(); err != nil {
		return fmt.Errorf("removing what earlier labs left: %w", err)
	}
	if err := l.build(); err != nil {
		return err
	}
	if err := l.startRouters(ctx); err != nil {
		return err
	}
	if l.opts.Cluster == nil {
		return nil
	}
	if err := l.join(ctx); err != nil {
		return err
	}
	if l.opts.WithoutKubeProxy {
		return nil
	}
	for _, n := range l.Nodes {
		if err := n.startKubeProxy(); err != nil {
			return err
		}
	}
	for _, n := range l.Nodes {
		if err := n.waitKubeProxy(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stations are those of the segment.
func (l *Lab) stations() (all []*Station) {
	for _, n := range l.Nodes {
		all = append(all, &n.Station)
	}
	for _, c := range l.Clients {
		all = append(all, &c.Station)
	}
	for _, r := range l.Routers {
		all = append(all, &r.Station)
	}
	return all
}

// build makes the network.
func (l *Lab) build() error {
	add := commands{"netns add " + l.segment.ns.name}
	stations := l.stations()
	for _, s := range stations {
		add.add("netns add %s", s.ns.name)
	}
	steps := []func() error{
		add.run,
		func() error { return l.segment.ns.ip(l.segment.commands()) },
		l.prepareStations,
		func() error { return l.segment.connect(stations...) },
		l.addressStations,
		func() error { return l.segment.awaitStations(stations...) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) prepareStations() error {
	var errs error
	for _, n := range l.Nodes {
		errs = errors.Join(errs, n.prepare())
	}
	for _, c := range l.Clients {
		errs = errors.Join(errs, c.ns.sysctls(everyStation))
	}
	for _, r := range l.Routers {
		errs = errors.Join(errs, r.prepare())
	}
	return errs
}

func (l *Lab) addressStations() error {
	var errs error
	for _, n := range l.Nodes {
		errs = errors.Join(errs, n.ns.ip(n.commands()))
	}
	for _, c := range l.Clients {
		errs = errors.Join(errs, c.ns.ip(c.Station.commands()))
	}
	for _, r := range l.Routers {
		errs = errors.Join(errs, r.ns.ip(r.Station.commands()))
	}
	return errs
}

// Stop ends every program, removes the namespaces and takes nodes and pods
// from the API server, if that answers.
func (l *Lab) Stop() {
	l.stop.Do(func() {
		for _, n := range l.Nodes {
			n.stop()
		}
		for _, r := range l.Routers {
			r.end()
		}
		l.mu.Lock()
		for _, e := range l.enclaves {
			e.Close()
		}
		l.mu.Unlock()
		if l.api != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			l.leave(ctx)
		}
		_ = removeNamespaces(func(name string) bool { return strings.HasPrefix(name, l.prefix) })
		if l.ownsDir {
			_ = os.RemoveAll(l.dir)
		}
	})
}

// Dir is where the logs are: that of the cluster, if there is one.
func (l *Lab) Dir() string { return l.dir }

// interruptible are the labs that a signal stops: those of tests, which have
// nobody else to do it.
var interruptible sync.Map

var stopWhenInterrupted = sync.OnceFunc(func() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		interruptible.Range(func(l, _ any) bool {
			l.(*Lab).Stop()
			return true
		})
		os.Exit(130)
	}()
})

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", ": ") }
