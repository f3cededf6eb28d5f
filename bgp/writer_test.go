//go:build linux

package bgp

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// A router that is told nothing of all that changes has keepalives none the
// less: it would give the session up.
func TestKeepalivesBesideChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		o := newOutbox()
		w := newWriter(here, o, agreement{hold: 9 * time.Second, keepalive: 3 * time.Second}, &atomic.Uint64{})
		go w.run(func() { t.Error("the router takes nothing") })
		keepalives := 0
		go func() {
			for in := newReader(there); ; {
				m, err := in.next()
				if err != nil {
					return
				}
				if m.kind != bgp.BGP_MSG_KEEPALIVE {
					t.Errorf("got a message of type %d", m.kind)
				}
				keepalives++
			}
		}()
		for range 60 {
			time.Sleep(time.Second)
			o.put([]change{{prefix(1), none}})
		}
		synctest.Wait()
		if keepalives < 60/3 || keepalives > 60/2 {
			t.Errorf("%d keepalives in a minute", keepalives)
		}
		w.end(time.Second)
		there.Close()
	})
}
