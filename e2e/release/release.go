// Package release is Berth's chart in the hands of Helm: what it renders to, and
// releases of it in a lab.
package release

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/berth-lb/berth/e2e/cluster"
)

// Name and Namespace are those of the release, as docs/install.md has them.
const (
	Name      = "berth"
	Namespace = "berth-system"
)

// Chart is the folder of the chart.
func Chart() (string, error) {
	root, err := cluster.Root()
	return filepath.Join(root, "charts", "berth"), err
}

// MetalLB is the folder of the module of MetalLB that e2e/go.mod names.
func MetalLB(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "go.universe.tf/metallb").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("looking for MetalLB's module: %w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// Helm runs the program that `make helm` builds, on a cluster.
type Helm struct {
	binary, kubeconfig, home string
}

// New returns the Helm of a cluster, which keeps what it writes beside the
// cluster's files. Without a cluster it can only render.
func New(kube *cluster.Cluster) (*Helm, error) {
	binary, err := cluster.Built("helm")
	if err != nil {
		return nil, err
	}
	if kube == nil {
		return &Helm{binary: binary, kubeconfig: os.DevNull, home: os.TempDir()}, nil
	}
	return &Helm{binary: binary, kubeconfig: kube.Kubeconfig(), home: kube.Dir()}, nil
}

// Run runs helm, in the release's namespace, and returns what it printed. What
// this machine's user has set up for Helm is out of the way.
func (h *Helm) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, h.binary, append([]string{"--namespace=" + Namespace}, args...)...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "HELM_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	at := filepath.Join(h.home, "helm")
	cmd.Env = append(cmd.Env, "KUBECONFIG="+h.kubeconfig,
		"HELM_CACHE_HOME="+at, "HELM_CONFIG_HOME="+at, "HELM_DATA_HOME="+at)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// rendered is what a process has rendered, by the arguments.
var rendered = struct {
	sync.Mutex
	by map[string][]byte
}{by: map[string][]byte{}}

// Render returns what an installation with these arguments of helm would make,
// but for hooks and CRDs, as a YAML stream.
func Render(ctx context.Context, args ...string) ([]byte, error) {
	rendered.Lock()
	defer rendered.Unlock()
	key := strings.Join(args, "\x00")
	if stream, ok := rendered.by[key]; ok {
		return stream, nil
	}
	helm, err := New(nil)
	if err != nil {
		return nil, err
	}
	chart, err := Chart()
	if err != nil {
		return nil, err
	}
	out, err := helm.Run(ctx, append([]string{"template", Name, chart, "--no-hooks"}, args...)...)
	if err != nil {
		return nil, err
	}
	rendered.by[key] = []byte(out)
	return rendered.by[key], nil
}
