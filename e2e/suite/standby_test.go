package suite

import (
	"strings"
	"testing"
	"time"
)

// A standby collects no work while another leads, however long that is, and knows
// all when it takes over.
func TestStandby(t *testing.T) {
	t.Parallel()
	l := newLab(t, "standby")
	l.neverTwice()
	l.pool("blue", ranges("192.0.2.0/24"))
	terms := []string{"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms"}
	first := l.start(terms...)
	one := l.leads(patience)
	l.create("stays")
	l.has("stays", "192.0.2.0")

	address := freeAddress(t)
	l.start(append(terms, "--metrics-bind-address="+address)...)
	l.eventually(func() error {
		_, err := fetch(address, "/metrics")
		return err
	})
	for range 3 {
		l.create("comes")
		l.has("comes", "192.0.2.1")
		l.delete("comes")
		l.gone("comes")
	}
	values, err := metrics(address)
	l.must(err)
	for name, value := range values {
		if strings.HasPrefix(name, "workqueue_depth{") && value > 0 {
			t.Errorf("a standby has work: %s is %v", name, value)
		}
	}

	first.kill()
	l.create("during")
	l.leads(8*time.Second, one)
	l.has("during", "192.0.2.1")
	l.has("stays", "192.0.2.0")
}
