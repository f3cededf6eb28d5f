//go:build linux

package bgp

import (
	"os"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/berth-lb/berth/e2e/lab"
)

func TestMain(m *testing.M) {
	lab.Main()
	log.SetLogger(logr.Discard()) // else controller-runtime complains of having none
	os.Exit(m.Run())
}

// story is what holds, in a sentence, and how that shows.
type story struct {
	name string
	tell func(*ground)
}

// One site serves all stories; each leaves it as it found it.
func TestBGP(t *testing.T) {
	g := newGround(t)
	for _, s := range slices.Concat(announcing, peering) {
		t.Run(s.name, func(t *testing.T) { s.tell(g.in(t)) })
	}
}
