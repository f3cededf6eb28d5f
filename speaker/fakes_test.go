package speaker

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/trafficpolicy"
)

// fakeLayer2 remembers what it was told, and is strict about the order.
type fakeLayer2 struct {
	mu     sync.Mutex
	claims map[netip.Addr]Claim
	peers  map[string]Host
	synced bool
	// calls counts Claim and Unclaim.
	calls int
}

func (f *fakeLayer2) Claim(address netip.Addr, c Claim) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.peers == nil {
		panic("claimed before the peers were told")
	}
	if len(c.Order) > maxOrder {
		panic("an order that is too long")
	}
	if old, ok := f.claims[address]; ok && old.equal(c) {
		panic(fmt.Sprintf("claimed twice: %v, %+v", address, c))
	}
	f.calls++
	f.claims[address] = c
}

func (f *fakeLayer2) Unclaim(address netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	delete(f.claims, address)
}

func (f *fakeLayer2) SetPeers(peers map[string]Host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.peers = peers
}

func (f *fakeLayer2) Synced() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.synced {
		panic("synced twice")
	}
	f.synced = true
}

// claim returns what was claimed, as text: "order; recorded", empty for
// nothing.
func (f *fakeLayer2) claim(address string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.claims[netip.MustParseAddr(address)]
	if !ok {
		return ""
	}
	return strings.Join(c.Order, " ") + "; " + c.Recorded
}

func (f *fakeLayer2) wantClaim(t *world, address, want string) {
	t.Helper()
	if got := f.claim(address); got != want {
		t.Errorf("the claim of %s is %q, want %q", address, got, want)
	}
}

// fakeEvents remembers them.
type fakeEvents struct {
	mu  sync.Mutex
	all []string
}

func (f *fakeEvents) Event(o runtime.Object, kind, reason, message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, fmt.Sprintf("%s %s: %s", o.(client.Object).GetName(), reason, message))
}

func (f *fakeEvents) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.all
	f.all = nil
	return all
}

// fakeHealth answers all checks with 200 unless told otherwise.
type fakeHealth struct {
	mu      sync.Mutex
	answers map[int32]trafficpolicy.Answer
	asked   map[int32]int
}

func newFakeHealth() *fakeHealth {
	return &fakeHealth{answers: map[int32]trafficpolicy.Answer{}, asked: map[int32]int{}}
}

func (f *fakeHealth) ask(ctx context.Context, port int32) trafficpolicy.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[port]++
	if answer, ok := f.answers[port]; ok {
		return answer
	}
	return trafficpolicy.AnswerOf(http.StatusOK)
}

func (f *fakeHealth) set(port int32, answer trafficpolicy.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[port] = answer
}

func (f *fakeHealth) count(port int32) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[port]
}
