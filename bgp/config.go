//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
)

const (
	// minRetry is the least pause between two attempts to connect that GoBGP
	// makes.
	minRetry = 2 * time.Second
	// restartTime is how long a router shall keep the routes of a speaker that
	// went (RFC 4724 section 3): time to pull an image and to read all objects
	// anew. A node that died meanwhile is told by BFD, which ends this.
	restartTime = 120 * time.Second
	// deferral is how long routes are held back for what the router sends first,
	// which is of no interest here.
	deferral = time.Second
	// anyDistance is the TTL of packets to external peers that may be far away.
	anyDistance = 255
	// adjacent is the TTL to those that may not (RFC 4271 section 5.1.3).
	adjacent = 1
	// maxPassword is the length of a key that the kernel takes (TCP_MD5SIG).
	maxPassword = 80
)

// check says why a peer can't be as it is asked for, in words for users.
func check(p Peer) error {
	switch {
	case p.MyASN == 0:
		return errors.New("the AS number of this end is 0")
	case p.HoldTime == 0:
		return errors.New("holdTime 0 is not possible: without keepalives nothing would tell that the router is gone; 3s is the least")
	case p.HoldTime < 3*time.Second:
		return fmt.Errorf("holdTime %v is less than 3s (RFC 4271 section 4.2)", p.HoldTime)
	case !p.IPv4 && !p.IPv6:
		return errors.New("there is no address family to exchange")
	case p.Interface == "" && !p.Address.IsValid():
		return errors.New("there is neither an address nor an interface")
	case p.RouterID.IsValid() && !p.RouterID.Unmap().Is4():
		return fmt.Errorf("router ID %v is not an IPv4 address", p.RouterID)
	case len(p.Password) > maxPassword:
		return fmt.Errorf("the password is longer than %d bytes", maxPassword)
	case p.Source.IsValid() && p.Address.IsValid() && p.Source.Unmap().Is4() != p.Address.Unmap().Is4():
		return fmt.Errorf("source address %v and peer address %v are of different families", p.Source, p.Address)
	case p.Address.IsLinkLocalUnicast() && p.Address.Is6() && p.Address.Zone() == "":
		return fmt.Errorf("%v is a link-local address: give the interface instead", p.Address)
	}
	return nil
}

func (p Peer) port() uint16 {
	if p.Port == 0 {
		return 179
	}
	return p.Port
}

// retry is the pause between attempts to connect.
func (p Peer) retry() time.Duration { return max(p.ConnectTime, minRetry) }

// ttl is that of packets to a router of an AS; 0 leaves the default.
func (p Peer) ttl(asn uint32) uint8 {
	switch {
	case asn == p.MyASN:
		return 0
	case p.Multihop:
		return anyDistance
	}
	return adjacent
}

// neighbor is a peer in GoBGP's terms.
func neighbor(p Peer, address netip.Addr, asn uint32, maxReceived uint32) *api.Peer {
	n := &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: address.String(), PeerAsn: asn, LocalAsn: p.MyASN, AuthPassword: p.Password,
		},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime:          seconds(p.HoldTime),
			KeepaliveInterval: seconds(p.KeepaliveTime),
			ConnectRetry:      seconds(p.retry()),
		}},
		Transport: &api.Transport{RemotePort: uint32(p.port()), BindInterface: p.Device},
	}
	if p.Source.IsValid() {
		n.Transport.LocalAddress = p.Source.String()
	}
	if p.Multihop && asn != p.MyASN {
		n.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: anyDistance}
	}
	if p.GracefulRestart {
		// Always as after a restart: only then GoBGP says that forwarding went on.
		n.GracefulRestart = &api.GracefulRestart{
			Enabled: true, RestartTime: uint32(seconds(restartTime)), DeferralTime: uint32(seconds(deferral)),
			LocalRestarting: true,
		}
	}
	for _, f := range families(p) {
		n.AfiSafis = append(n.AfiSafis, &api.AfiSafi{
			Config:            &api.AfiSafiConfig{Family: f, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: p.GracefulRestart}},
			PrefixLimits:      &api.PrefixLimit{Family: f, MaxPrefixes: maxReceived},
		})
	}
	return n
}

func families(p Peer) []*api.Family {
	var all []*api.Family
	if p.IPv4 {
		all = append(all, &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST})
	}
	if p.IPv6 {
		all = append(all, &api.Family{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST})
	}
	return all
}

func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }

// global is what GoBGP wants to know apart from peers. Only unicast tables are
// made: all families would take 10 MB.
func global(p Peer, routerID netip.Addr) *api.Global {
	const ipv4Unicast, ipv6Unicast = 0, 1
	return &api.Global{
		Asn: p.MyASN, RouterId: routerID.String(), ListenPort: -1,
		Families: []uint32{ipv4Unicast, ipv6Unicast},
	}
}

// onlyOwn is a policy that lets nothing in but what is announced here.
func onlyOwn() (*api.Policy, *api.PolicyAssignment) {
	policy := &api.Policy{Name: "own", Statements: []*api.Statement{{
		Name:       "own",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
	}}}
	return policy, &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_POLICY_DIRECTION_IMPORT,
		Policies: []*api.Policy{policy}, DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT,
	}
}
