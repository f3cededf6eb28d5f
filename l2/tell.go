package l2

import (
	"net/netip"
	"time"
)

// announce begins a series of gratuitous frames.
func (m *protocol) announce(now time.Time, a *address) {
	a.series, a.sent = now, 0
	m.tell(now, a)
	m.timers.update(a)
}

// tell sends the next gratuitous frame of a series.
func (m *protocol) tell(now time.Time, a *address) {
	m.do(effect{kind: tell, address: a.addr})
	a.told, a.nextTell = now, time.Time{}
	if a.sent++; a.sent < len(m.timing.repeats) {
		a.nextTell = a.series.Add(m.timing.repeats[a.sent])
	}
}

// defend tells once more that the address is here, soon if it was told just
// now.
func (m *protocol) defend(now time.Time, a *address) {
	if a.nextDefence.IsZero() {
		a.nextDefence = a.told.Add(m.timing.calm)
		if !a.nextDefence.After(now) {
			a.nextDefence = now
		}
		m.timers.update(a)
	}
}

// retell has gratuitous frames sent again for an address that the node holds:
// there is an interface more to send them on.
func (m *protocol) retell(now time.Time, addr netip.Addr) {
	if a := m.addresses[addr]; a != nil && a.holding {
		m.announce(now, a)
	}
}
