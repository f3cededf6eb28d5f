//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv6"
)

const (
	// advertiseEvery is the pause between router advertisements. They are how a
	// router finds this node where it has only an interface to go by, too.
	advertiseEvery = 10 * time.Second
	// solicitEvery is the pause between questions while there is no session, and
	// between looks for an interface that is not there.
	solicitEvery = 2 * time.Second
)

var (
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
)

// discovery finds the router on an interface (RFC 4861 section 6).
type discovery struct {
	name string
	// found is told the router's address, with the zone; problem what is in the
	// way, for users.
	found   func(netip.Addr)
	problem func(string)
	// up says that there is a session with it: nobody else need be looked for.
	up func() bool
}

// run looks and listens until ctx ends.
func (d discovery) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := d.listen(ctx); err != nil && ctx.Err() == nil {
			d.problem(err.Error())
		}
		pause(ctx, solicitEvery)
	}
}

// listen follows the advertisements on the interface as long as it is there.
func (d discovery) listen(ctx context.Context) error {
	link, err := net.InterfaceByName(d.name)
	if err != nil {
		return fmt.Errorf("this node has no interface %s", d.name)
	}
	conn, _, err := ndp.Listen(link, ndp.LinkLocal)
	if err != nil {
		return fmt.Errorf("looking for the router on %s: %w", d.name, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })()
	if err := hearRouters(conn); err != nil {
		return fmt.Errorf("listening for routers on %s: %w", d.name, err)
	}
	d.problem(fmt.Sprintf("no router advertises itself on %s: switch on router advertisements there (RFC 4861)", d.name))
	known := d.fromKernel(link)
	next := time.Time{}
	for ctx.Err() == nil {
		if !time.Now().Before(next) {
			enough := known && d.up()
			if err := d.speak(conn, link, enough); err != nil {
				return fmt.Errorf("advertising on %s: %w", d.name, err)
			}
			next = time.Now().Add(solicitEvery)
			if enough {
				next = time.Now().Add(advertiseEvery)
			}
		}
		conn.SetReadDeadline(next)
		if ctx.Err() != nil {
			return nil
		}
		m, _, from, err := conn.ReadFrom()
		switch {
		case isTimeout(err):
		case err != nil:
			return fmt.Errorf("listening for routers on %s: %w", d.name, err)
		default:
			known = d.heard(m, from) || known
		}
	}
	return nil
}

// hearRouters lets in what routers send, and nothing else.
func hearRouters(conn *ndp.Conn) error {
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	return conn.SetICMPFilter(&filter)
}

// fromKernel takes a router that the kernel knows already.
func (d discovery) fromKernel(link *net.Interface) bool {
	all, err := netlink.NeighList(link.Index, netlink.FAMILY_V6)
	if err != nil {
		return false
	}
	for _, n := range all {
		ip, ok := netip.AddrFromSlice(n.IP)
		if ok && n.Flags&netlink.NTF_ROUTER != 0 && n.State&netlink.NUD_FAILED == 0 && ip.IsLinkLocalUnicast() {
			d.found(ip.WithZone(d.name))
			return true
		}
	}
	return false
}

// speak asks for routers unless the one that is known is enough, and advertises
// this node: with a lifetime of 0, so that nobody takes it for a way out.
func (d discovery) speak(conn *ndp.Conn, link *net.Interface, enough bool) error {
	source := []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: link.HardwareAddr}}
	if len(link.HardwareAddr) == 0 {
		source = nil
	}
	if err := conn.WriteTo(&ndp.RouterAdvertisement{Options: source}, nil, allNodes); err != nil || enough {
		return err
	}
	return conn.WriteTo(&ndp.RouterSolicitation{Options: source}, nil, allRouters)
}

// heard looks at an advertisement. The kernel gives this node's own ones back,
// too, but not over the same socket.
func (d discovery) heard(m ndp.Message, from netip.Addr) bool {
	if _, ok := m.(*ndp.RouterAdvertisement); !ok || !from.IsLinkLocalUnicast() || own(d.name, from) {
		return false
	}
	d.found(from.WithZone(d.name))
	return true
}

// own says whether an address is this node's.
func own(name string, address netip.Addr) bool {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return false
	}
	all, err := link.Addrs()
	if err != nil {
		return false
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(net.IP(address.AsSlice())) {
			return true
		}
	}
	return false
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
