//go:build linux

package bgp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// askTimeout bounds each step of a question.
const askTimeout = 3 * time.Second

// answer is what a router says to an OPEN.
type answer struct {
	// asn is that of the router, 0 where it did not say.
	asn uint32
	// problem is why there can't be a session, in words for users; empty if the
	// router agreed.
	problem string
	// said: these are the router's own words.
	said bool
}

// ask opens a connection of its own to a router, says OPEN and reads what comes
// back, and hangs up before there is a session: GoBGP does not pass on which AS a
// router is in, nor why it refuses. It is asked while GoBGP has no connection.
func ask(ctx context.Context, p Peer, address, routerID netip.Addr) answer {
	conn, err := dial(ctx, p, address)
	if err != nil {
		return answer{problem: noAnswer(p, address, err.Error())}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	conn.SetDeadline(time.Now().Add(askTimeout))
	open, err := openMessage(p, routerID)
	if err != nil {
		return answer{problem: err.Error()}
	}
	if _, err := conn.Write(open); err != nil {
		return answer{problem: unknownHere(p, address)}
	}
	return hear(p, address, conn)
}

// hear reads until it is clear what the router thinks.
func hear(p Peer, address netip.Addr, conn io.Reader) answer {
	var a answer
	for {
		m, err := readMessage(conn)
		switch {
		case isTimeout(err) && a.asn == 0:
			a.problem = speechless(p, address)
			return a
		case err != nil && a.asn == 0:
			a.problem = unknownHere(p, address)
			return a
		case err != nil:
			return a
		}
		switch body := m.Body.(type) {
		case *bgp.BGPOpen:
			a.asn = asnOf(body)
			if p.PeerASN != 0 && a.asn != p.PeerASN || p.PeerASN == 0 && a.asn == p.MyASN {
				a.problem = wrongAS(p, a.asn)
				return a
			}
		case *bgp.BGPNotification:
			a.problem, a.said = theySaid(p, body.ErrorCode, body.ErrorSubcode, communication(body)), true
			return a
		default:
			return a
		}
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func dial(ctx context.Context, p Peer, address netip.Addr) (net.Conn, error) {
	d := net.Dialer{Timeout: askTimeout, KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = prepare(int(fd), p, address) }); e != nil {
			return e
		}
		return err
	}}
	if p.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.Source, 0))
	}
	return d.DialContext(ctx, "tcp", net.JoinHostPort(address.String(), strconv.Itoa(int(p.port()))))
}

// prepare sets what the router may insist on before the first packet.
func prepare(fd int, p Peer, address netip.Addr) error {
	device, err := bindTo(fd, p.Device)
	if err != nil {
		return err
	}
	if p.Password != "" {
		if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG_EXT, md5(p.Password, address, device)); err != nil {
			return fmt.Errorf("setting the password: %w", err)
		}
	}
	ttl := int(p.ttl(p.PeerASN))
	switch {
	case ttl == 0:
		return nil
	case address.Is4():
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttl)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl)
}

// bindTo returns the index of the device if it is a VRF.
func bindTo(fd int, device string) (int, error) {
	if device == "" {
		return 0, nil
	}
	if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device); err != nil {
		return 0, fmt.Errorf("binding to %s: %w", device, err)
	}
	link, err := netlink.LinkByName(device)
	if err != nil || link.Type() != "vrf" {
		return 0, err
	}
	return link.Attrs().Index, nil
}

// md5 is the signature for TCP_MD5SIG_EXT (RFC 2385).
func md5(password string, address netip.Addr, vrf int) *unix.TCPMD5Sig {
	sig := &unix.TCPMD5Sig{Keylen: uint16(len(password))}
	copy(sig.Key[:], password)
	if address.Is4() {
		sig.Addr.Family = unix.AF_INET
		a := address.As4()
		copy(sig.Addr.Data[2:], a[:])
	} else {
		sig.Addr.Family = unix.AF_INET6
		a := address.As16()
		copy(sig.Addr.Data[6:], a[:])
	}
	if vrf != 0 {
		sig.Ifindex, sig.Flags = int32(vrf), unix.TCP_MD5SIG_FLAG_IFINDEX
	}
	return sig
}

// openMessage is the OPEN of a peer, without promises about restarts.
func openMessage(p Peer, routerID netip.Addr) ([]byte, error) {
	caps := []bgp.ParameterCapabilityInterface{bgp.NewCapFourOctetASNumber(p.MyASN)}
	for _, f := range families(p) {
		caps = append(caps, bgp.NewCapMultiProtocol(bgp.NewFamily(uint16(f.Afi), uint8(f.Safi))))
	}
	asn := uint16(bgp.AS_TRANS)
	if p.MyASN <= 1<<16-1 {
		asn = uint16(p.MyASN)
	}
	m, err := bgp.NewBGPOpenMessage(asn, uint16(seconds(p.HoldTime)), routerID,
		[]bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(caps)})
	if err != nil {
		return nil, fmt.Errorf("making an OPEN: %w", err)
	}
	return m.Serialize()
}

// readMessage reads one message of the length that is allowed before there is a
// session (RFC 8654 section 4).
func readMessage(r io.Reader) (*bgp.BGPMessage, error) {
	data := make([]byte, bgp.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(data[16:18]))
	if length < bgp.BGP_HEADER_LENGTH || length > bgp.BGP_MAX_MESSAGE_LENGTH {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	data = append(data, make([]byte, length-bgp.BGP_HEADER_LENGTH)...)
	if _, err := io.ReadFull(r, data[bgp.BGP_HEADER_LENGTH:]); err != nil {
		return nil, err
	}
	return bgp.ParseBGPMessage(data)
}

// asnOf is the AS number of an OPEN (RFC 6793 section 4.1).
func asnOf(open *bgp.BGPOpen) uint32 {
	asn := uint32(open.MyAS)
	for _, p := range open.OptParams {
		caps, _ := p.(*bgp.OptionParameterCapability)
		if caps == nil {
			continue
		}
		for _, c := range caps.Capability {
			if four, ok := c.(*bgp.CapFourOctetASNumber); ok {
				asn = four.CapValue
			}
		}
	}
	return asn
}

// communication is the text of a shutdown (RFC 9003).
func communication(n *bgp.BGPNotification) string {
	stopped := n.ErrorSubcode == bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN || n.ErrorSubcode == bgp.BGP_ERROR_SUB_ADMINISTRATIVE_RESET
	if n.ErrorCode != bgp.BGP_ERROR_CEASE || !stopped || len(n.Data) == 0 {
		return ""
	}
	return string(n.Data[1:min(1+int(n.Data[0]), len(n.Data))])
}
