//go:build linux

package install

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/release"
	"github.com/berth-lb/berth/e2e/site"
)

// life is that of an installation on bare metal, which the stories lead one after
// the other.
type life struct {
	*ground
	// onSegment and routed are Services announced by ARP and NDP, and by BGP.
	onSegment, routed *corev1.Service
}

func TestBareMetal(t *testing.T) {
	g := newGround(t, site.Options{Routers: []lab.RouterOptions{{Software: lab.FRR, Change: patientBFD}}}, nil, nil)
	l := &life{ground: g}
	for i := range 2 {
		_, err := g.Nodes[2].StartPod(t.Context(), "default", fmt.Sprint("web", i+1), "web")
		g.must(err)
	}
	for _, story := range []struct {
		name string
		tell func(*life)
	}{
		{"a typo in a value is refused", refusesTypo},
		{"an installation takes no value but a pool", installs},
		{"what brings the CRDs is gone", leavesNoHook},
		{"an upgrade loses nothing", upgrades},
		{"a rollback loses nothing", rollsBack},
		{"a drained controller leaves its Services served", replacesController},
		{"what is removed leaves addresses in place", uninstalls},
		{"what is installed again takes over", installsAgain},
	} {
		ok := t.Run(story.name, func(t *testing.T) {
			l.ground = g.in(t)
			story.tell(l)
		})
		if !ok {
			t.Fatal("the stories after this one build on it")
		}
	}
}

// patientBFD lets a busy machine stall for a second without the loss of a
// session.
func patientBFD(c *lab.BGPConfig) {
	c.BFD = lab.BFDTimers{Interval: 500 * time.Millisecond, Multiplier: 5}
}

func refusesTypo(l *life) {
	_, err := l.helm.Run(l.t.Context(), "install", release.Name, l.chart, "--create-namespace", "--set=controler.replicas=1")
	if err == nil || !strings.Contains(err.Error(), "controler") {
		l.t.Errorf("got %v", err)
	}
}

// What the chart's notes say is all that there is to do.
func installs(l *life) {
	said := l.install()
	if !strings.Contains(said, "IPAddressPool") {
		l.t.Errorf("the notes don't tell what to do next:\n%s", said)
	}
	l.complete()
	l.must(l.Configure(l.t.Context()))
	var err error
	l.onSegment, err = l.Serve(l.t.Context(), "on-segment", "web")
	l.must(err)
	l.routed, err = l.Serve(l.t.Context(), "routed", "web", site.Routed)
	l.must(err)
	l.must(l.AwaitRoutes(l.t.Context(), l.routed, l.Nodes...))
	l.reached()
}

// reached returns when clients get pages at all addresses.
func (l *life) reached() {
	l.t.Helper()
	for _, address := range site.Addresses(l.onSegment) {
		l.page(l.Clients[0], address)
	}
	for _, address := range site.Addresses(l.routed) {
		l.page(l.Routers[0].Remote, address)
	}
}

func leavesNoHook(l *life) {
	for _, o := range []client.Object{&corev1.ServiceAccount{}, &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleBinding{}} {
		err := l.API.Get(l.t.Context(), client.ObjectKey{Namespace: site.Namespace, Name: "berth-crds"}, o)
		if !apierrors.IsNotFound(err) {
			l.t.Errorf("%T berth-crds: %v", o, err)
		}
	}
}

// upgraded is the tag of the image after an upgrade: the same programs here.
const upgraded = "v0.1.1"

func upgrades(l *life) {
	load := l.load(l.onSegment, l.routed)
	l.run("upgrade", release.Name, l.chart, "--wait",
		"--set=image.tag="+upgraded, "--set=controller.logLevel=debug", "--set=speaker.logLevel=debug")
	l.complete()
	load.nothingLost()
	l.only(":" + upgraded)
}

func rollsBack(l *life) {
	load := l.load(l.onSegment, l.routed)
	l.run("rollback", release.Name, "--wait")
	l.complete()
	load.nothingLost()
	l.only(":v0.1.0")
}

// only fails the story unless all pods run that tag.
func (l *life) only(tag string) {
	l.t.Helper()
	l.until("all pods run "+tag, func(context.Context) (bool, error) {
		images := l.images()
		names := slices.Collect(maps.Keys(images))
		return orElse(len(names) == 1 && strings.HasSuffix(names[0], tag) && images[names[0]] == len(l.Nodes)+2, "they run %v", images)
	})
}

// One of the controllers goes as by a drain, be it the leader or not: its like
// serves what comes meanwhile.
func replacesController(l *life) {
	var pods corev1.PodList
	l.must(l.API.List(l.t.Context(), &pods, client.InNamespace(site.Namespace), client.MatchingLabels{"app.kubernetes.io/component": "controller"}))
	for _, pod := range pods.Items {
		l.must(l.API.Delete(l.t.Context(), &pod))
		svc, err := l.Serve(l.t.Context(), "new-"+pod.Name[len(pod.Name)-5:], "web")
		l.must(err)
		l.must(l.API.Delete(l.t.Context(), svc))
		l.complete()
	}
}

func uninstalls(l *life) {
	before := [2][]string{check.Addresses(l.onSegment), check.Addresses(l.routed)}
	l.Allowed(l.t)
	l.run("uninstall", release.Name, "--wait")
	for _, o := range []client.ObjectList{&appsv1.DeploymentList{}, &appsv1.DaemonSetList{}, &corev1.PodList{}} {
		l.until(fmt.Sprintf("there is no %T", o), func(ctx context.Context) (bool, error) {
			err := l.API.List(ctx, o, client.InNamespace(site.Namespace))
			text := fmt.Sprintf("%+v", o)
			return err == nil && !strings.Contains(text, "berth-"), err
		})
	}
	// Helm takes the roles away while the controllers are still ending.
	l.must(l.Excuse())
	var crds apiextensionsv1.CustomResourceDefinitionList
	l.must(l.API.List(l.t.Context(), &crds))
	if len(crds.Items) < 10 {
		l.t.Errorf("of the CRDs, %d are left", len(crds.Items))
	}
	for i, svc := range []*corev1.Service{l.onSegment, l.routed} {
		l.must(l.API.Get(l.t.Context(), client.ObjectKeyFromObject(svc), svc))
		if !slices.Equal(check.Addresses(svc), before[i]) {
			l.t.Errorf("%s had %v, and has %v", svc.Name, before[i], check.Addresses(svc))
		}
	}
}

func installsAgain(l *life) {
	before := [2][]string{check.Addresses(l.onSegment), check.Addresses(l.routed)}
	l.install()
	l.complete()
	l.must(l.AwaitRoutes(l.t.Context(), l.routed, l.Nodes...))
	l.reached()
	for i, svc := range []*corev1.Service{l.onSegment, l.routed} {
		l.until(svc.Name+" is served", func(ctx context.Context) (bool, error) { return l.Serving(ctx, svc) })
		if !slices.Equal(check.Addresses(svc), before[i]) {
			l.t.Errorf("%s had %v, and has %v", svc.Name, before[i], check.Addresses(svc))
		}
	}
}
