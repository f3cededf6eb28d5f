// Package cluster runs a real Kubernetes control plane on loopback for one
// test, demo or benchmark: etcd, kube-apiserver and, on request,
// kube-controller-manager, as a plain user and beside others of its kind.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/berth-lb/berth/e2e/access"
)

// Patience is how long a part of the control plane may take to be ready.
const Patience = 60 * time.Second

// Options say what to start. The zero value is etcd and kube-apiserver.
type Options struct {
	// Dir keeps data, logs and kubeconfigs, and is left behind by Stop; a
	// temporary one, which Stop removes, if empty.
	Dir string
	// Binary is the control plane built by `make kube`; that of this
	// repository if empty.
	Binary string
	// ControllerManager starts kube-controller-manager with the controllers
	// that make EndpointSlices, end namespaces and collect garbage.
	ControllerManager bool
	// Workloads adds those that make Pods of Deployments, DaemonSets and Jobs.
	Workloads bool
	// Audit notes what ServiceAccounts ask for, for Refused.
	Audit bool
	// APIServerArgs are further flags of kube-apiserver.
	APIServerArgs []string
}

// Cluster is a control plane that runs.
type Cluster struct {
	opts    Options
	dir     string
	ownsDir bool
	ca      *access.CA
	admin   *rest.Config
	port    int

	etcd, apiServer, controllerManager *Process

	mu   sync.Mutex
	runs []*Process
}

// Start returns when the API server is ready. The ctx bounds the start only.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	c, err := prepare(opts)
	if err != nil {
		return nil, fmt.Errorf("preparing a control plane: %w", err)
	}
	if err := c.start(ctx); err != nil {
		c.Stop()
		return nil, fmt.Errorf("starting a control plane: %w", err)
	}
	return c, nil
}

// New starts a control plane that ends with the test, or fails the test. The
// logs of a test that failed stay.
func New(t testing.TB, opts Options) *Cluster {
	t.Helper()
	log.SetLogger(logr.Discard()) // else controller-runtime complains of having none
	c, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.ownsDir = false
			t.Logf("the logs of the control plane are in %s", c.dir)
		}
		c.Stop()
	})
	return c
}

func prepare(opts Options) (*Cluster, error) {
	if opts.Binary == "" {
		kube, err := Built("kube")
		if err != nil {
			return nil, err
		}
		opts.Binary = kube
	}
	c := &Cluster{opts: opts}
	if err := c.makeDir(); err != nil {
		return nil, err
	}
	ca, err := access.NewCA("berth-lab")
	if err != nil {
		return nil, err
	}
	c.ca = ca
	return c, nil
}

func (c *Cluster) makeDir() (err error) {
	if c.opts.Dir == "" {
		c.ownsDir = true
		c.dir, err = os.MkdirTemp("", "berth-cluster-")
		return err
	}
	if c.dir, err = filepath.Abs(c.opts.Dir); err != nil {
		return err
	}
	return os.MkdirAll(c.dir, 0o700)
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.writeKeys(); err != nil {
		return err
	}
	if err := c.startEtcd(); err != nil {
		return err
	}
	if err := c.startAPIServerOnFreePort(ctx); err != nil {
		return err
	}
	if !c.opts.ControllerManager && !c.opts.Workloads {
		return nil
	}
	return c.startControllerManager()
}

// Stop ends every process and, unless the caller chose the directory, removes
// all that was written.
func (c *Cluster) Stop() {
	c.mu.Lock()
	runs := c.runs
	c.mu.Unlock()
	for _, p := range append(runs, c.controllerManager, c.apiServer, c.etcd) {
		if p != nil {
			p.Kill()
		}
	}
	if c.ownsDir {
		_ = os.RemoveAll(c.dir)
	}
}

// Dir is where the cluster keeps its files.
func (c *Cluster) Dir() string { return c.dir }

// Config gives an administrator's access, without a limit on the client's
// side.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.admin) }

// Kubeconfig is the file that gives an administrator's access.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "admin.kubeconfig") }

// ConfigFor gives the access of user as a member of groups.
func (c *Cluster) ConfigFor(user string, groups ...string) (*rest.Config, error) {
	pair, err := c.ca.Client(user, groups...)
	if err != nil {
		return nil, err
	}
	cfg := c.anonymous()
	cfg.CertData, cfg.KeyData = pair.Cert, pair.Key
	return cfg, nil
}

func (c *Cluster) anonymous() *rest.Config {
	return &rest.Config{
		Host:            fmt.Sprintf("https://127.0.0.1:%d", c.port),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca.PEM},
		QPS:             -1,
	}
}

// StopAPIServer kills kube-apiserver, as a power cut would. StartAPIServer has
// it back on the same port and with the same data.
func (c *Cluster) StopAPIServer() { c.apiServer.Kill() }

// StartAPIServer returns when kube-apiserver is ready again.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	return c.startAPIServer(ctx)
}

// PauseAPIServer has kube-apiserver keep its connections and answer nothing.
func (c *Cluster) PauseAPIServer() { c.apiServer.Signal(syscall.SIGSTOP) }

// ResumeAPIServer ends a pause.
func (c *Cluster) ResumeAPIServer() { c.apiServer.Signal(syscall.SIGCONT) }

// Run starts another program, which ends with ctx or with the cluster at the
// latest and writes its log in the cluster's directory.
func (c *Cluster) Run(ctx context.Context, binary string, args ...string) (*Process, error) {
	at, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	return c.RunProgram(ctx, filepath.Base(binary), Program{Binary: at, Args: args})
}

// RunProgram is Run of a program with an environment of its own. The log is
// called after name.
func (c *Cluster) RunProgram(ctx context.Context, name string, program Program) (*Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	program.Log = filepath.Join(c.dir, fmt.Sprintf("%s-%d.log", name, len(c.runs)+1))
	p, err := StartProgram(ctx, program)
	if err == nil {
		c.runs = append(c.runs, p)
	}
	return p, err
}

// Built returns the path of a program in the repository's bin folder.
func Built(name string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: build it with make, see make help", err)
	}
	return path, nil
}

// Root finds the repository's top folder, from the working directory upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "e2e", "kube", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("the working directory is not in Berth's repository")
		}
	}
}
