package bfd

import (
	"net/netip"
	"time"
)

// Event tells that a session changed its state, or that it is Late.
type Event struct {
	Key
	// Local is the address that the session speaks from, where it is known.
	Local netip.Addr
	At    time.Time

	State, Previous State
	// Diag says why State is Down.
	Diag Diag
	// RemoteState and RemoteDiag are what the peer last said. With RemoteState
	// AdminDown the peer stopped because it was told to.
	RemoteState State
	RemoteDiag  Diag
	// Late: nothing was heard for so long that the session will go Down in
	// Config.Warn. It is told once a silence, with State and Previous Up.
	Late bool
}

// Status is what a session is like at one moment.
type Status struct {
	Key
	Local netip.Addr
	// Accepted sessions were made because the peer spoke first.
	Accepted bool

	State State
	Diag  Diag
	// Since is when State was reached.
	Since time.Time
	// RemoteState, RemoteDiag and RemoteDiscriminator are what the peer last
	// said; the discriminator is 0 once it has been silent for a detection time.
	RemoteState         State
	RemoteDiag          Diag
	Discriminator       uint32
	RemoteDiscriminator uint32

	// Transmit is the negotiated interval between packets, before jitter; 0 if
	// the peer wants none.
	Transmit time.Duration
	// Detection is how long a silence of the peer is taken for its end; 0 before
	// its first packet.
	Detection time.Duration
	// Heard is when the last packet came.
	Heard time.Time
	// Received and Sent count packets.
	Received, Sent uint64
	// Problem is why no packet can be sent or received, as of the last try, or nil.
	Problem error
}
