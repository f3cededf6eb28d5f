//go:build linux

package install

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/kubelet"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/release"
	"github.com/berth-lb/berth/e2e/site"
)

// ground is a cluster to install Berth in, and who installs it.
type ground struct {
	*site.Site
	t       *testing.T
	helm    *release.Helm
	kubelet *kubelet.Kubelet
	chart   string
}

// newGround ends with the test. What the programs said is looked through then.
func newGround(t *testing.T, opts site.Options, reach, env []string) *ground {
	t.Helper()
	opts.ByHelm = true
	g := &ground{t: t, Site: site.New(t, opts)}
	image, err := kubelet.Built(".race")
	g.must(err)
	g.chart, err = release.Chart()
	g.must(err)
	g.helm, err = release.New(g.Kube)
	g.must(err)
	g.kubelet, err = kubelet.Start(kubelet.Options{
		Runtime: kubelet.Runtime{Kube: g.Kube, Image: image}, Namespace: site.Namespace, Lab: g.Lab, Reach: reach, Env: env,
	})
	g.must(err)
	t.Cleanup(g.kubelet.Stop)
	t.Cleanup(func() { check.Logs(t, g.kubelet.Logs()...) })
	return g
}

// in is the ground as a story uses it.
func (g *ground) in(t *testing.T) *ground {
	own := *g
	own.t = t
	return &own
}

func (g *ground) must(err error) {
	g.t.Helper()
	check.Must(g.t, err)
}

func (g *ground) until(what string, holds func(ctx context.Context) (bool, error)) {
	g.t.Helper()
	g.must(g.Await(g.t.Context(), what, holds))
}

// orElse says how it is where that is not as it should be.
func orElse(ok bool, format string, args ...any) (bool, error) {
	if ok {
		return true, nil
	}
	return false, fmt.Errorf(format, args...)
}

// run has Helm do something, and returns when it says that it is done.
func (g *ground) run(args ...string) string {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	out, err := g.helm.Run(ctx, args...)
	if err != nil {
		g.t.Logf("the pods:\n%s", g.pods())
	}
	g.must(err)
	g.t.Logf("helm %s took %s", args[0], time.Since(began).Round(100*time.Millisecond))
	return out
}

// install is what docs/install.md says, with further arguments.
func (g *ground) install(more ...string) string {
	g.t.Helper()
	return g.run(append([]string{"install", release.Name, g.chart, "--create-namespace", "--wait"}, more...)...)
}

// pods are those of Berth, for who has to find out what is wrong.
func (g *ground) pods() string {
	out, err := g.Kube.Kubectl(context.Background(), "-n", site.Namespace, "get", "pods", "-o", "wide")
	if err != nil {
		return err.Error()
	}
	for _, path := range g.kubelet.Logs() {
		text, _ := os.ReadFile(path)
		out += fmt.Sprintf("\n%s:\n%s", path, text[max(0, len(text)-600):])
	}
	return out
}

// images are those that the ready pods of Berth run, each with how many do.
func (g *ground) images() map[string]int {
	g.t.Helper()
	var pods corev1.PodList
	g.must(g.API.List(g.t.Context(), &pods, client.InNamespace(site.Namespace)))
	all := map[string]int{}
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			if c.Ready {
				all[c.Image]++
			}
		}
	}
	return all
}

// complete returns when all workloads run as many pods of the newest kind as
// they should.
func (g *ground) complete() {
	g.t.Helper()
	g.until("all workloads are complete", func(ctx context.Context) (bool, error) {
		var d appsv1.Deployment
		if err := g.API.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: "berth-controller"}, &d); err != nil {
			return false, err
		}
		var s appsv1.DaemonSet
		if err := g.API.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: "berth-speaker"}, &s); err != nil {
			return false, err
		}
		ok := d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == *d.Spec.Replicas && d.Status.AvailableReplicas == *d.Spec.Replicas &&
			s.Status.ObservedGeneration == s.Generation && int(s.Status.UpdatedNumberScheduled) == len(g.Nodes) && int(s.Status.NumberAvailable) == len(g.Nodes)
		return orElse(ok, "they are %+v and %+v", d.Status, s.Status)
	})
}

// page returns when a client gets one at an address of a Service.
func (g *ground) page(c *lab.Client, address netip.Addr) {
	g.t.Helper()
	g.until(fmt.Sprint(c.Name, " gets a page from ", address), func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		status, _, err := c.Get(ctx, url(address))
		return status == 200, err
	})
}

func url(address netip.Addr) string {
	return "http://" + netip.AddrPortFrom(address, lab.HTTPPort).String() + "/"
}
