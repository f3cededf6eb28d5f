package bfd

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/berth-lb/berth/bfd"
)

// random returns a packet that may be sent.
func random(r *rand.Rand) bfd.Packet {
	us := func() time.Duration { return time.Duration(r.Uint32()) * time.Microsecond }
	bit := func() bool { return r.IntN(2) == 0 }
	return bfd.Packet{
		Diag: bfd.Diag(r.IntN(9)), State: bfd.State(r.IntN(4)),
		Poll: bit(), Final: bit(), ControlPlaneIndependent: bit(), Demand: bit(),
		Multiplier: uint8(1 + r.IntN(255)), MyDiscriminator: 1 + r.Uint32N(1<<31), YourDiscriminator: 1 + r.Uint32N(1<<31),
		DesiredMinTx: us(), RequiredMinRx: us(), RequiredMinEchoRx: us(),
	}
}

// theirs is p as gopacket has it.
func theirs(p bfd.Packet) *layers.BFD {
	us := func(d time.Duration) layers.BFDTimeInterval { return layers.BFDTimeInterval(d / time.Microsecond) }
	return &layers.BFD{
		Version: 1, Diagnostic: layers.BFDDiagnostic(p.Diag), State: layers.BFDState(p.State),
		Poll: p.Poll, Final: p.Final, ControlPlaneIndependent: p.ControlPlaneIndependent, Demand: p.Demand,
		DetectMultiplier: layers.BFDDetectMultiplier(p.Multiplier),
		MyDiscriminator:  layers.BFDDiscriminator(p.MyDiscriminator), YourDiscriminator: layers.BFDDiscriminator(p.YourDiscriminator),
		DesiredMinTxInterval: us(p.DesiredMinTx), RequiredMinRxInterval: us(p.RequiredMinRx), RequiredMinEchoRxInterval: us(p.RequiredMinEchoRx),
	}
}

func TestCodecAgreesWithGopacket(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		p := random(r)
		buffer := gopacket.NewSerializeBuffer()
		if err := theirs(p).SerializeTo(buffer, gopacket.SerializeOptions{}); err != nil {
			t.Fatal(err)
		}
		ours := p.Append(nil)
		if !bytes.Equal(ours, buffer.Bytes()) {
			t.Fatalf("%+v:\nours   %x\ntheirs %x", p, ours, buffer.Bytes())
		}
		if got, err := bfd.Parse(buffer.Bytes()); err != nil || got != p {
			t.Fatalf("theirs read by us: %+v, %v, want %+v", got, err, p)
		}
		var decoded layers.BFD
		if err := decoded.DecodeFromBytes(ours, gopacket.NilDecodeFeedback); err != nil {
			t.Fatalf("ours read by them: %v", err)
		}
	}
}
