package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/apiproxy"
	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// idleCPU is what a controller that can't reach the API server may compute
	// in a minute, with the race detector on a slow machine, a fifth of a core;
	// a loop that doesn't wait takes all of it.
	idleCPU = 12 * time.Second
	// knocks is how often it may try to reach it for each Service: retries
	// start 50 ms after a failure and double up to 30 s.
	knocks = 15
)

// The API server is away for a minute in the middle of changes. The controller
// stays, waits without a hot loop, and all is as it should be soon after.
func TestAPIServerAway(t *testing.T) {
	s := seed(t)
	away := time.Duration(number(t, "CHAOS_AWAY_SECONDS", 60)) * time.Second
	const size = 200
	l := newLab(t, cluster.Options{ControllerManager: true})
	ctx := t.Context()
	keeper := &poolKeeper{client: l.client, size: size, dice: dice(s, 1)}
	check.Must(t, keeper.begin(ctx))
	proxy, kubeconfig := l.proxy()
	p := l.run(flags(kubeconfig, "--leader-elect=false")...)
	names := l.createMany("keep", size/2)
	l.calm(time.Minute, "before it begins")
	l.ledger.watchOver(names...)

	storm, end := context.WithCancel(ctx)
	people := &crowd{client: l.client, services: size / 2, pause: 100 * time.Millisecond, forgive: unreachable}
	var group sync.WaitGroup
	finish := func() {
		end()
		group.Wait()
	}
	defer finish()
	group.Go(func() { people.run(storm, t, s, 4) })
	time.Sleep(5 * time.Second)

	l.StopAPIServer()
	proxy.Cut()
	door := countKnocks(t, strings.TrimPrefix(proxy.Config().Host, "https://"))
	spent := cpu(t, p)
	time.Sleep(away)
	spent = cpu(t, p) - spent
	tries := door.close()
	t.Logf("while the API server was away for %s the controller computed for %s and tried %d times to reach it", away, spent, tries)
	if limit := max(time.Duration(away.Minutes()*float64(idleCPU)), idleCPU/3); spent > limit {
		t.Errorf("the controller computed for %s while it could do nothing, more than %s", spent, limit)
	}
	if tries > knocks*size {
		t.Errorf("the controller tried %d times to reach the API server, more than %d", tries, knocks*size)
	}

	check.Must(t, l.StartAPIServer(ctx))
	check.Must(t, proxy.Restore())
	back := time.Now()
	time.Sleep(3 * time.Second) // of further changes
	finish()
	l.calm(3*time.Minute, "with the API server back")
	t.Logf("calm %s after the API server came back", time.Since(back).Round(100*time.Millisecond))
	select {
	case <-p.Done():
		t.Errorf("the controller ended; the end of its log:\n%s", p.Tail(10))
	default:
	}
}

// proxy starts one before the API server, and returns the file that gives
// access through it.
func (l *lab) proxy() (*apiproxy.Proxy, string) {
	l.t.Helper()
	proxy, err := apiproxy.Start(l.access)
	check.Must(l.t, err)
	l.t.Cleanup(proxy.Close)
	kubeconfig := filepath.Join(l.Dir(), "proxy.kubeconfig")
	check.Must(l.t, proxy.WriteKubeconfig(kubeconfig))
	return proxy, kubeconfig
}

// createMany creates n Services that ask for nothing special.
func (l *lab) createMany(prefix string, n int) []string {
	l.t.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%03d", prefix, i)
		check.Must(l.t, l.client.Create(l.t.Context(), newService(names[i])))
	}
	return names
}

// unreachable says whether err is no answer of the API server's, or one that
// it gives on its way up or down.
func unreachable(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status) || apierrors.IsServiceUnavailable(err) || apierrors.IsForbidden(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err)
}

// door takes connections and ends each at once.
type door struct {
	net.Listener
	knocks atomic.Int64
	done   chan struct{}
}

func countKnocks(t *testing.T, addr string) *door {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	check.Must(t, err)
	d := &door{Listener: ln, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			d.knocks.Add(1)
			conn.Close()
		}
	}()
	return d
}

func (d *door) close() int {
	d.Listener.Close()
	<-d.done
	return int(d.knocks.Load())
}
