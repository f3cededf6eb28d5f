package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/rpc"
	"os"
	"path/filepath"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// bareArgument has this program be GoBGP and nothing else, on a node, and do
// what it is told by a socket. What follows are the socket and the router ID.
const bareArgument = "bare-gobgp"

// Bare is that GoBGP, by net/rpc.
type Bare struct{ server *server.BgpServer }

// BareRouter is a router to have a session with.
type BareRouter struct {
	Address netip.Addr
	ASN     uint32
}

// serveBare returns when it fails.
func serveBare(socket, routerID string) error {
	b := &Bare{server: server.NewBgpServer()}
	go b.server.Serve()
	const ipv4Unicast, ipv6Unicast = 0, 1
	err := b.server.StartBgp(context.Background(), &api.StartBgpRequest{Global: &api.Global{
		Asn: lab.NodeASN, RouterId: routerID, ListenPort: -1, Families: []uint32{ipv4Unicast, ipv6Unicast},
	}})
	if err != nil {
		return err
	}
	remote := rpc.NewServer()
	if err := remote.Register(b); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	remote.Accept(listener)
	return nil
}

// Connect begins the sessions.
func (b *Bare) Connect(routers []BareRouter, _ *struct{}) error {
	for _, r := range routers {
		peer := &api.Peer{
			Conf:   &api.PeerConf{NeighborAddress: r.Address.String(), PeerAsn: r.ASN},
			Timers: &api.Timers{Config: &api.TimersConfig{HoldTime: 90, KeepaliveInterval: 30, ConnectRetry: 2}},
		}
		for _, afi := range []api.Family_Afi{api.Family_AFI_IP, api.Family_AFI_IP6} {
			family := &api.Family{Afi: afi, Safi: api.Family_SAFI_UNICAST}
			peer.AfiSafis = append(peer.AfiSafis, &api.AfiSafi{Config: &api.AfiSafiConfig{Family: family, Enabled: true}})
		}
		if err := b.server.AddPeer(context.Background(), &api.AddPeerRequest{Peer: peer}); err != nil {
			return err
		}
	}
	return nil
}

// Disconnect ends the sessions.
func (b *Bare) Disconnect(routers []BareRouter, _ *struct{}) error {
	for _, r := range routers {
		if err := b.server.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: r.Address.String()}); err != nil {
			return err
		}
	}
	return nil
}

// Announce adds prefixes of IPv4 in one call, and says when it began to.
func (b *Bare) Announce(prefixes []netip.Prefix, at *time.Time) error {
	hop, err := bgp.NewPathAttributeNextHop(netip.IPv4Unspecified())
	if err != nil {
		return err
	}
	const originIGP = 0
	attributes := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(originIGP), hop}
	var paths []*apiutil.Path
	for _, prefix := range prefixes {
		nlri, err := bgp.NewIPAddrPrefix(prefix)
		if err != nil {
			return err
		}
		paths = append(paths, &apiutil.Path{Family: bgp.RF_IPv4_UC, Nlri: nlri, Attrs: attributes, Age: time.Now().Unix()})
	}
	*at = time.Now()
	_, err = b.server.AddPath(apiutil.AddPathRequest{Paths: paths})
	return err
}

// bare is what tells it.
type bare struct {
	program *lab.Program
	remote  *rpc.Client
	routers []BareRouter
}

// startBare runs GoBGP on a node, without any session yet.
func startBare(ctx context.Context, s *site.Site, n *lab.Node) (*bare, error) {
	b := &bare{}
	for _, r := range s.Routers {
		b.routers = append(b.routers, BareRouter{r.IPv4, r.Config().ASN})
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(s.Dir(), "bare-"+n.Name)
	if b.program, err = n.Run(self, bareArgument, socket, n.IPv4.String()); err != nil {
		return nil, err
	}
	err = s.Await(ctx, "GoBGP listens on "+n.Name, func(context.Context) (bool, error) {
		b.remote, err = rpc.Dial("unix", socket)
		return err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("%w; it says:\n%s", err, b.program.Tail(5))
	}
	return b, nil
}

func (b *bare) connect() error    { return b.remote.Call("Bare.Connect", b.routers, &struct{}{}) }
func (b *bare) disconnect() error { return b.remote.Call("Bare.Disconnect", b.routers, &struct{}{}) }

func (b *bare) announce(prefixes ...netip.Prefix) (at time.Time, err error) {
	err = b.remote.Call("Bare.Announce", prefixes, &at)
	return at, err
}
