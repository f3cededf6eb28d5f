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
func (m *protocol) defend(now time.Time, a *address) { m.defendAfter(now, a, m.timing.calm) }

// resist is defend against a stranger. One that does the same, as another
// installation with the same pool would, is answered after pauses that grow:
// RFC 5227, section 2.4, has no host fight on for ever.
func (m *protocol) resist(now time.Time, a *address) {
	if now.Sub(a.stranger) > 2*m.timing.stubborn {
		a.patience = m.timing.calm
	}
	a.stranger = now
	if a.nextDefence.IsZero() {
		m.defendAfter(now, a, a.patience)
		a.patience = min(2*a.patience, m.timing.stubborn)
	}
}

// defendAfter has the address told of when a pause since the last time is over.
func (m *protocol) defendAfter(now time.Time, a *address, pause time.Duration) {
	at := a.told.Add(pause)
	if at.Before(now) {
		at = now
	}
	if a.nextDefence.IsZero() || at.Before(a.nextDefence) {
		a.nextDefence = at
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
