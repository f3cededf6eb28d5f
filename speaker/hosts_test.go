package speaker

import (
	"testing"
	"testing/synctest"
	"time"
)

// By the hardware that speakers report the others tell their frames from those
// of strangers. It may change while they run.
func TestHardwareIsReportedAndPassedOn(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, cluster("a", "b")...)
		a, b := w.start("a"), w.start("b")
		for _, hardware := range []string{"02:00:00:00:00:01", "02:00:00:00:00:09"} {
			b.Speaker.Interfaces(map[string]string{"eth0": hardware, "a,b": "02:00:00:00:00:02"})
			time.Sleep(time.Second)
			synctest.Wait()
			host := Host{Addresses: internalAddresses(testNode("b")), Hardware: map[string]string{"eth0": hardware}}
			a.fakeLayer2.mu.Lock()
			if got := a.fakeLayer2.peers["b"]; !got.equal(host) {
				t.Errorf("of b layer 2 knows %+v, want %+v", got, host)
			}
			a.fakeLayer2.mu.Unlock()
		}
	})
}

// A machine that got another name has two Nodes for a while. The old one is not to
// pass for alive by the address, or the hardware, of the new one.
func TestADeadNodeWhoseAddressAnotherOneHas(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, cluster("a", "b", "old-b", "c")...)
		a := w.start("a")
		knows := func(node string) Host {
			time.Sleep(time.Second)
			synctest.Wait()
			a.fakeLayer2.mu.Lock()
			defer a.fakeLayer2.mu.Unlock()
			return a.fakeLayer2.peers[node]
		}
		at := func(node string) Host { return Host{Addresses: internalAddresses(testNode(node))} }
		for _, c := range []struct {
			reason, lost string
			want         map[string]Host
		}{
			{"nobody knows yet", "c", map[string]Host{"b": at("b"), "old-b": at("b"), "c": at("c")}},
			{"the old one is dead", "old-b", map[string]Host{"b": at("b"), "old-b": {}, "c": at("c")}},
		} {
			w.lose(c.lost)
			for node, want := range c.want {
				if got := knows(node); !got.equal(want) {
					t.Errorf("%s: of %s layer 2 knows %+v, want %+v", c.reason, node, got, want)
				}
			}
		}
	})
}
