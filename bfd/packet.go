package bfd

import (
	"encoding/binary"
	"fmt"
	"time"
)

// State is what a system thinks of a session, with the values of the wire
// (RFC 5880 section 4.1).
type State uint8

const (
	AdminDown State = iota
	Down
	Init
	Up
)

func (s State) String() string {
	switch s {
	case AdminDown:
		return "AdminDown"
	case Down:
		return "Down"
	case Init:
		return "Init"
	case Up:
		return "Up"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Diag says why a system last left the state Up (RFC 5880 section 4.1).
type Diag uint8

const (
	NoDiagnostic Diag = iota
	DetectionTimeExpired
	EchoFailed
	NeighborSignaledDown
	ForwardingPlaneReset
	PathDown
	ConcatenatedPathDown
	AdministrativelyDown
	ReverseConcatenatedPathDown
)

var diagNames = [...]string{
	"NoDiagnostic", "DetectionTimeExpired", "EchoFailed", "NeighborSignaledDown", "ForwardingPlaneReset",
	"PathDown", "ConcatenatedPathDown", "AdministrativelyDown", "ReverseConcatenatedPathDown",
}

func (d Diag) String() string {
	if int(d) < len(diagNames) {
		return diagNames[d]
	}
	return fmt.Sprintf("Diag(%d)", uint8(d))
}

// PacketLen is the length of a control packet without authentication, in bytes.
const PacketLen = 24

// Packet is a control packet without authentication (RFC 5880 section 4.1).
// Intervals have a resolution of one microsecond on the wire, and at most
// 2^32-1 of them.
type Packet struct {
	Diag  Diag
	State State

	Poll                    bool
	Final                   bool
	ControlPlaneIndependent bool
	Demand                  bool

	Multiplier        uint8
	MyDiscriminator   uint32
	YourDiscriminator uint32

	DesiredMinTx      time.Duration
	RequiredMinRx     time.Duration
	RequiredMinEchoRx time.Duration
}

const (
	version = 1

	bitPoll       = 0x20
	bitFinal      = 0x10
	bitCPI        = 0x08
	bitAuth       = 0x04
	bitDemand     = 0x02
	bitMultipoint = 0x01
)

// Parse reads the control packet that a datagram holds. It refuses what
// RFC 5880 section 6.8.6 says to discard before a session is looked up, with an
// error that is a Reason, and packets with authentication. What follows the
// packet in the datagram is ignored. It does not keep b, and allocates nothing.
func Parse(b []byte) (Packet, error) {
	if len(b) < PacketLen {
		return Packet{}, Malformed
	}
	if b[0]>>5 != version {
		return Packet{}, WrongVersion
	}
	if length := int(b[3]); length < PacketLen || length > len(b) {
		return Packet{}, Malformed
	}
	flags := b[1]
	if flags&bitAuth != 0 {
		return Packet{}, Authenticated
	}
	p := Packet{
		Diag:                    Diag(b[0] & 0x1f),
		State:                   State(flags >> 6),
		Poll:                    flags&bitPoll != 0,
		Final:                   flags&bitFinal != 0,
		ControlPlaneIndependent: flags&bitCPI != 0,
		Demand:                  flags&bitDemand != 0,
		Multiplier:              b[2],
		MyDiscriminator:         binary.BigEndian.Uint32(b[4:]),
		YourDiscriminator:       binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx:            interval(b[12:]),
		RequiredMinRx:           interval(b[16:]),
		RequiredMinEchoRx:       interval(b[20:]),
	}
	if flags&bitMultipoint != 0 || p.Multiplier == 0 || p.MyDiscriminator == 0 {
		return Packet{}, Malformed
	}
	if p.YourDiscriminator == 0 && p.State != Down && p.State != AdminDown {
		return Packet{}, Malformed
	}
	return p, nil
}

func interval(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}

// Append adds the wire form of p to b and returns it. Intervals are cut to what
// the wire can hold.
func (p Packet) Append(b []byte) []byte {
	flags := byte(p.State) << 6
	for _, f := range [...]struct {
		set bool
		bit byte
	}{{p.Poll, bitPoll}, {p.Final, bitFinal}, {p.ControlPlaneIndependent, bitCPI}, {p.Demand, bitDemand}} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, version<<5|byte(p.Diag)&0x1f, flags, p.Multiplier, PacketLen)
	b = binary.BigEndian.AppendUint32(b, p.MyDiscriminator)
	b = binary.BigEndian.AppendUint32(b, p.YourDiscriminator)
	b = binary.BigEndian.AppendUint32(b, microseconds(p.DesiredMinTx))
	b = binary.BigEndian.AppendUint32(b, microseconds(p.RequiredMinRx))
	return binary.BigEndian.AppendUint32(b, microseconds(p.RequiredMinEchoRx))
}

func microseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), 1<<32-1))
}
