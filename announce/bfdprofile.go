package announce

import (
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
)

// What a BFDProfile means that doesn't say.
const (
	defaultInterval   = 300 // ms
	defaultMultiplier = 3
)

// bfdProfiles reads all by name. One that is refused is there as nil.
func bfdProfiles(all []*metallb.BFDProfile) (map[string]*BFD, []Problem) {
	profiles := make(map[string]*BFD, len(all))
	var problems []Problem
	for _, p := range sorted(all, func(p *metallb.BFDProfile) string { return p.Name }) {
		r := reader{object: "BFDProfile " + p.Name}
		b := r.bfd(p)
		if r.refused {
			b = nil
		}
		profiles[p.Name] = b
		problems = append(problems, r.problems...)
	}
	return profiles, problems
}

func (r *reader) bfd(p *metallb.BFDProfile) *BFD {
	b := &BFD{
		Profile:    p.Name,
		Transmit:   time.Duration(r.number("spec.transmitInterval", p.Spec.TransmitInterval, defaultInterval, 10, 60000)) * time.Millisecond,
		Receive:    time.Duration(r.number("spec.receiveInterval", p.Spec.ReceiveInterval, defaultInterval, 10, 60000)) * time.Millisecond,
		Multiplier: uint8(r.number("spec.detectMultiplier", p.Spec.DetectMultiplier, defaultMultiplier, 2, 255)),
		MinTTL:     uint8(r.number("spec.minimumTtl", p.Spec.MinimumTTL, 0, 1, 254)),
		Passive:    p.Spec.PassiveMode != nil && *p.Spec.PassiveMode,
	}
	// The echo function (RFC 5880 section 6.4) does nothing that control packets
	// at short intervals don't, so that the rest is followed.
	if p.Spec.EchoMode != nil && *p.Spec.EchoMode {
		r.tell("spec.echoMode", "true: echo packets are not sent, and failures are detected by control packets at transmitInterval and receiveInterval, %v and %v: allowed is false", b.Transmit, b.Receive)
	}
	return b
}

// number is *value, or missing where there is none.
func (r *reader) number(field string, value *uint32, missing, least, most uint32) uint32 {
	if value == nil {
		return missing
	}
	if *value < least || *value > most {
		r.refuse(field, "%d: allowed are %d to %d", *value, least, most)
	}
	return *value
}
