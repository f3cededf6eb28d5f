package speaker

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/trafficpolicy"
)

func TestGate(t *testing.T) {
	in(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		health, news := newFakeHealth(), make(chan types.NamespacedName, 100)
		g := newGate(health.ask, func(int32) {}, func(whose types.NamespacedName) { news <- whose })
		done := make(chan struct{})
		go func() { defer close(done); _ = g.run(ctx) }()
		defer func() { cancel(); <-done }()
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		check := func(what string, want trafficpolicy.Answer, changes int) {
			t.Helper()
			answer, asked := g.watch(called("web"), 30000)
			if answer != want || !asked || len(news) != changes {
				t.Errorf("%s: %v, asked %t, %d changes; want %v, %d changes", what, answer, asked, len(news), want, changes)
			}
			for len(news) > 0 {
				<-news
			}
		}

		if _, asked := g.watch(called("web"), 30000); asked {
			t.Error("an answer out of nothing")
		}
		if err := g.settle(ctx); err != nil {
			t.Error(err)
		}
		check("the first answer", trafficpolicy.Healthy, 1)
		wait(time.Minute)
		check("nothing new", trafficpolicy.Healthy, 0)
		if n := health.count(30000); n != 31 {
			t.Errorf("asked %d times in a minute", n)
		}
		health.set(30000, trafficpolicy.Unhealthy)
		wait(servicePace)
		check("an explicit answer counts at once", trafficpolicy.Unhealthy, 1)
		health.set(30000, trafficpolicy.Silent)
		wait((patience - 1) * servicePace)
		check("a short silence does not", trafficpolicy.Unhealthy, 0)
		wait(servicePace)
		check("a long one does", trafficpolicy.Silent, 1)

		g.watch(called("web"), 30001)
		if _, asked := g.watch(called("web"), 30001); asked {
			t.Error("another port has the answer of the first")
		}
		synctest.Wait()
		g.forget(called("web"))
		n := health.count(30001)
		wait(time.Minute)
		if more := health.count(30001); more != n {
			t.Errorf("forgotten, and asked %d times more", more-n)
		}
	})
}

func TestAsker(t *testing.T) {
	var code, connections atomic.Int32
	code.Store(http.StatusOK)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(int(code.Load()))
		_, _ = w.Write([]byte(`{"localEndpoints": 1}`))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	port := portOf(t, server)
	a := newAsker()
	for _, status := range []int{200, 503} {
		code.Store(int32(status))
		for range 10 {
			if got := a.ask(t.Context(), port); got != trafficpolicy.AnswerOf(status) {
				t.Errorf("%d: got %v", status, got)
			}
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for 20 questions", n)
	}
	server.CloseClientConnections()
	if got := a.ask(t.Context(), port); got != trafficpolicy.Unhealthy {
		t.Errorf("after the connection broke: %v", got)
	}
	a.forget(port)
	server.Close()
	if got := a.ask(t.Context(), port); got != trafficpolicy.Silent {
		t.Errorf("nothing listens, and it is %v", got)
	}
}

// kube-proxy in nftables mode serves the health check node ports of Services on
// addresses of the node only.
func TestAskerFindsTheAddressOfTheNode(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.NotFoundHandler()}}
	server.Start()
	defer server.Close()
	a := newAsker()
	if got := a.ask(t.Context(), portOf(t, server)); got != trafficpolicy.Silent {
		t.Errorf("without the address: %v", got)
	}
	a.hosts.Store(&[]netip.Addr{netip.MustParseAddr("127.0.0.2")})
	if got := a.ask(t.Context(), portOf(t, server)); got != trafficpolicy.Unhealthy {
		t.Errorf("with it: %v", got)
	}
}

func portOf(t *testing.T, server *httptest.Server) int32 {
	t.Helper()
	_, text, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return int32(port)
}
