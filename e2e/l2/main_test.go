//go:build linux

package l2

import (
	"os"
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

// One site serves all stories; each leaves it as it found it. Those that need
// silence on the segment come before those that move addresses.
func TestLayer2(t *testing.T) {
	g := newGround(t)
	for _, story := range []struct {
		name string
		tell func(*ground)
	}{
		{"a Service is announced by one node", announcesOnce},
		{"a question without a link-layer address is answered", answersWithoutOption},
		{"a speaker is stopped and started", restartsSpeaker},
		{"a speaker is killed and started", killsSpeaker},
		{"all speakers are restarted in turn", rollsSpeakers},
		{"a second speaker on a node gives up", refusesSecondSpeaker},
		{"speakers are stalled while all cores are busy", stallsSpeakers},
		{"the owner and a standby do not hear each other", partitionsPairs},
		{"the owner's interface gets another address", addsAddress},
		{"hostile frames are counted and dropped", dropsHostileFrames},
		{"a client claims an address", defendsAddress},
		{"the owner's power is cut", cutsPower},
		{"power fails while the API server is away", cutsPowerWithoutAPI},
		{"the segment breaks in two", splitsSegment},
		{"a speaker stays away", losesSpeaker},
		{"the owner's interface goes down and comes back", losesInterface},
		{"the owner's interface is renamed", renamesInterface},
		{"the owner's cable is unplugged", unplugsOwner},
		{"the owner is excluded", excludesOwner},
		{"the owner is drained of pods", drainsOwner},
		{"pods of a Local Service move", followsLocalPods},
		{"all pods go and come back", losesPods},
		{"kube-proxy says that it is unhealthy", closesGate},
		{"kube-proxy is killed", losesKubeProxy},
		{"advertisements decide what is announced", changesAdvertisements},
		{"advertisements select nodes", selectsNodes},
		{"a bad advertisement stays alone", refusesAdvertisement},
		{"two Services share an address", sharesAddress},
		{"nodes have their addresses on another segment", servesAnotherSegment},
	} {
		t.Run(story.name, func(t *testing.T) { story.tell(g.in(t)) })
	}
}
