package bfd

import "time"

// timers are the intervals of a session and the Poll Sequence that has the peer
// agree to new ones.
type timers struct {
	// tx and rx are in effect. While a Poll Sequence is under way they differ
	// from what is sent where the new values could end the session before the
	// peer knows them (RFC 5880 section 6.8.3).
	tx, rx time.Duration
	// interval is what due was computed with.
	interval time.Duration
	poll     bool // a Poll Sequence is under way
	pollNext bool // another one has to follow
}

// desiredTx is what is sent as Desired Min TX Interval: never fast before the
// session is Up (RFC 5880 section 6.8.3).
func desiredTx(cfg Config, state State) time.Duration {
	if state == Up {
		return cfg.Transmit
	}
	return max(cfg.Transmit, slow)
}

// reset is for a session that is not Up. There is no poll then: the intervals
// count at once, and the way Up ends with one.
func (t *timers) reset(cfg Config) {
	t.tx, t.rx = desiredTx(cfg, Down), cfg.Receive
	t.poll, t.pollNext = false, false
}

// rise is for a session that comes Up and leaves the slow pace.
func (t *timers) rise(cfg Config) {
	if cfg.Transmit != t.tx {
		t.tx, t.poll = cfg.Transmit, true
	}
}

// change is for new intervals while Up: what makes this system send more or
// expect less counts at once, the rest when the peer has answered.
func (t *timers) change(cfg Config) {
	t.tx, t.rx = min(t.tx, cfg.Transmit), max(t.rx, cfg.Receive)
	if t.poll {
		t.pollNext = true // an answer may be on its way to the old values
	} else {
		t.poll = true
	}
}

// answered looks at the Final bit of a packet that came. Between two Poll
// Sequences there is a packet without it, so that a late answer to the first one
// does not end the second (RFC 5880 section 6.5).
func (t *timers) answered(cfg Config, final bool) {
	switch {
	case final && t.poll:
		t.poll = false
		if !t.pollNext {
			t.tx, t.rx = cfg.Transmit, cfg.Receive
		}
	case !final && !t.poll && t.pollNext:
		t.poll, t.pollNext = true, false
	}
}

// negotiated is the interval between packets before jitter (RFC 5880 section
// 6.8.2).
func (s *session) negotiated() time.Duration { return max(s.tx, s.remote.minRx) }

// detection is how long a silence is taken for the end of the peer (RFC 5880
// section 6.8.4); 0 where there is no peer to be silent.
func (s *session) detection() time.Duration {
	if s.remote.discriminator == 0 {
		return 0
	}
	return time.Duration(s.remote.multiplier) * max(s.rx, s.remote.desiredTx)
}

// periodic says whether packets are sent by the clock (RFC 5880 section 6.8.7).
func (s *session) periodic() bool {
	if s.remote.discriminator == 0 && s.cfg.Passive || s.remote.minRx == 0 {
		return false
	}
	asked := s.remote.demand && s.state == Up && s.remote.state == Up
	return !asked || s.poll
}

// repace moves the next packet when the interval has changed.
func (s *session) repace() {
	if n := s.negotiated(); n != s.interval {
		s.interval = n
		s.due = s.sent.Add(s.jittered())
	}
}

// jittered takes up to a quarter off the interval, and with a multiplier of 1 at
// least a tenth, so that the peer does not give up between two packets (RFC 5880
// section 6.8.7).
func (s *session) jittered() time.Duration {
	least, most := s.interval*75/100, s.interval
	if s.cfg.Multiplier == 1 {
		most = s.interval * 90 / 100
	}
	return least + time.Duration(s.random.Int64N(int64(most-least)+1))
}

func (s *session) expiry() time.Time {
	if d := s.detection(); d > 0 {
		return s.heard.Add(d)
	}
	return time.Time{}
}

// lateAt is when the silence of the peer is told.
func (s *session) lateAt() time.Time {
	d := s.detection()
	if s.state != Up || s.late || s.cfg.Warn <= 0 || s.cfg.Warn >= d {
		return time.Time{}
	}
	return s.heard.Add(d - s.cfg.Warn)
}
