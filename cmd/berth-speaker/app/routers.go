package app

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/bgp"
	"github.com/berth-lb/berth/speaker"
)

const (
	// leaveTime bounds how long routers are waited for that are to learn that
	// this node announces nothing any more, and reportTime what the API server
	// is told after that.
	leaveTime  = 5 * time.Second
	reportTime = 2 * time.Second
)

// routers is bgp's Announcer as the speaker knows it.
type routers struct {
	*bgp.Announcer
	// speaker is set before it runs.
	speaker *speaker.Speaker
	log     logr.Logger
	// converted are the paths that were passed on last, by the first of them: the
	// speaker gives the same ones for many prefixes, and so does routers.
	converted map[*announce.Path][]bgp.Path
}

// maxConverted bounds how many are remembered.
const maxConverted = 64

func newRouters(log logr.Logger, to *listener) *routers {
	return &routers{log: log, converted: map[*announce.Path][]bgp.Path{}, Announcer: bgp.New(bgp.Options{
		Log:      log,
		OnChange: func(peer string) { to.SessionChanged(peer) },
	})}
}

// run is Run, and takes leave of the routers where the node is on its way out.
// Otherwise the end of Run is the begin of a restart.
func (r *routers) run(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.Announcer.Run(running) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	r.leave(running)
	stop()
	return <-ended
}

func (r *routers) leave(ctx context.Context) {
	why := r.speaker.Leaving(ctx)
	if why == "" {
		return
	}
	r.log.Info("Withdrawing everything from all routers before the end", "because", why)
	leaving, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	if err := r.Announcer.Leave(leaving); err != nil {
		r.log.Error(err, "Not every router has confirmed that it knows")
	}
	reporting, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	if err := r.speaker.Left(reporting); err != nil {
		r.log.Error(err, "The last report of the sessions stays")
	}
}

// SetPeers and what follows make routers a speaker.BGP.
func (r *routers) SetPeers(peers []announce.Peer) {
	all := make([]bgp.Peer, len(peers))
	for i, p := range peers {
		all[i] = peerOf(p)
	}
	r.Announcer.SetPeers(all)
}

func (r *routers) Announce(prefix netip.Prefix, paths []announce.Path) {
	r.Announcer.Announce(prefix, r.convert(paths))
}

// convert is called by the speaker's one worker.
func (r *routers) convert(paths []announce.Path) []bgp.Path {
	if len(paths) == 0 {
		return nil
	}
	if all := r.converted[&paths[0]]; len(all) == len(paths) {
		return all
	}
	all := make([]bgp.Path, len(paths))
	for i, p := range paths {
		all[i] = pathOf(p)
	}
	if len(r.converted) == maxConverted {
		clear(r.converted)
	}
	r.converted[&paths[0]] = all
	return all
}

func (r *routers) Sessions() []speaker.Session {
	now := r.Announcer.Sessions()
	all := make([]speaker.Session, len(now))
	for i, s := range now {
		all[i] = speaker.Session{
			Peer: s.Peer, Address: s.Address, Established: s.State == bgp.Established, Since: s.Since,
			LacksIPv4: s.LacksIPv4, LacksIPv6: s.LacksIPv6,
			Error: s.Error, Prefixes: s.Prefixes, Updates: s.Updates, BFD: s.BFD,
		}
	}
	return all
}

func peerOf(p announce.Peer) bgp.Peer {
	peer := bgp.Peer{
		Name: p.Name, MyASN: p.MyASN, PeerASN: p.PeerASN,
		Address: p.Address, Interface: p.Interface, Port: p.Port, Source: p.Source, RouterID: p.RouterID, Device: p.Device,
		HoldTime: p.HoldTime, KeepaliveTime: p.KeepaliveTime, ConnectTime: p.ConnectTime,
		IPv4: p.IPv4, IPv6: p.IPv6, Multihop: p.Multihop, GracefulRestart: p.GracefulRestart, Password: p.Password,
	}
	if b := p.BFD; b != nil {
		peer.BFD = &bgp.BFD{Transmit: b.Transmit, Receive: b.Receive, Multiplier: b.Multiplier, Passive: b.Passive, MinTTL: b.MinTTL}
	}
	return peer
}

// pathOf shares nothing with p.
func pathOf(p announce.Path) bgp.Path {
	path := bgp.Path{Peers: slices.Clone(p.Peers), LocalPref: p.LocalPref, Prepend: p.Prepend, Communities: slices.Clone(p.Communities)}
	for _, c := range p.LargeCommunities {
		path.LargeCommunities = append(path.LargeCommunities, c)
	}
	return path
}

var _ speaker.BGP = (*routers)(nil)
