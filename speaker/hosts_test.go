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
