//go:build linux

package acceptance

import (
	"flag"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/berth-lb/berth/e2e/lab"
)

// given is the cluster that the command line names, if any.
var given struct{ kubeconfig, namespace, pool, networks, image, client string }

func init() {
	flag.StringVar(&given.kubeconfig, "cluster", "", "kubeconfig of a cluster with Berth in it; the lab if empty")
	flag.StringVar(&given.namespace, "namespace", "berth-system", "where Berth is installed there")
	flag.StringVar(&given.pool, "pool", "", "addresses there that the pool may give, first-last or CIDR, by commas; four or more of each family")
	flag.StringVar(&given.networks, "networks", "", "instead of -pool, networks there, by blanks, whose last addresses are free")
	flag.StringVar(&given.image, "pod-image", "registry.k8s.io/e2e-test-images/agnhost:2.53", "image of the pods there, which serves pages with the arguments of agnhost")
	flag.StringVar(&given.client, "client", "", "command that asks for the page whose address follows it; this process asks by itself if empty")
}

func TestMain(m *testing.M) {
	lab.Main()
	log.SetLogger(logr.Discard()) // else controller-runtime complains of having none
	os.Exit(m.Run())
}

// story is one thing that users do and see.
type story struct {
	name string
	tell func(*scene)
}

// tell tells all stories one after the other, each in a namespace of its own.
func tell(t *testing.T, g *ground, stories []story) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) { s.tell(newScene(t, g)) })
	}
}

// The backend is a cloud that lives in Berth's memory.
func TestFake(t *testing.T) {
	g := newGround(t, "fake")
	tell(t, g, everywhere)
}

// The backend gives addresses from a pool, and the speakers announce them.
func TestPool(t *testing.T) {
	g := newGround(t, "pool")
	g.prepare(t)
	tell(t, g, everywhere)
	tell(t, g, ofPools)
	tell(t, g, ofTraffic)
}
