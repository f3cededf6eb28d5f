package app

import (
	"net/netip"

	"github.com/go-logr/logr"

	"github.com/berth-lb/berth/l2"
	"github.com/berth-lb/berth/speaker"
)

// announcer is l2's Announcer as the speaker knows it.
type announcer struct{ *l2.Announcer }

// listener passes on what layer 2 tells. Its speaker is set before layer 2 runs.
type listener struct{ *speaker.Speaker }

func newAnnouncer(o *options, log logr.Logger, to *listener) announcer {
	return announcer{l2.New(l2.Options{
		Node:               o.nodeName,
		Log:                log,
		Usable:             o.usable,
		LivenessPort:       uint16(o.livenessPort),
		LivenessInterval:   o.livenessInterval,
		LivenessMultiplier: uint8(o.livenessMultiplier),
		StandIn:            o.standIn,
		StandInLimit:       o.standInLimit,
		OnHeld:             func(address netip.Addr, held bool, interfaces []string) { to.Held(address, held, interfaces) },
		OnInterfaces:       func(hardware map[string]string) { to.Interfaces(hardware) },
	})}
}

// Claim makes announcer a speaker.Layer2.
func (a announcer) Claim(address netip.Addr, c speaker.Claim) {
	a.Announcer.Claim(address, l2.Claim(c))
}

func (a announcer) SetPeers(peers map[string]speaker.Host) {
	hosts := make(map[string]l2.Host, len(peers))
	for name, p := range peers {
		hosts[name] = l2.Host(p)
	}
	a.Announcer.SetPeers(hosts)
}

var _ speaker.Layer2 = announcer{}
