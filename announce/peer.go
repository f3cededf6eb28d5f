package announce

import (
	"net/netip"
	"strings"
	"time"

	"go.universe.tf/metallb/api/v1beta2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What a BGPPeer means that doesn't say.
const (
	defaultPort = 179
	// defaultHold and defaultKeepalive are those that RFC 4271 section 10
	// suggests.
	defaultHold      = 90 * time.Second
	defaultKeepalive = defaultHold / 3
	// defaultConnect is far below the 120 s that are suggested there: a router
	// that comes back should not be kept waiting.
	defaultConnect = 2 * time.Second
)

// MaxPassword is the most bytes that Linux takes as a key of TCP MD5 signatures
// (TCP_MD5SIG_MAXKEYLEN).
const MaxPassword = 80

const allowedASNs = "1 to 4294967295"

// peer reads p. Refused is what leaves no session to be had, or another than
// the user means; told is what can be passed over, with the field as if it were
// not there unless the message says more.
func (r *reader) peer(p *v1beta2.BGPPeer, profiles map[string]*BFD) Peer {
	peer := Peer{
		Name:            p.Name,
		Port:            p.Spec.Port,
		Device:          r.device("spec.vrf", p.Spec.VRFName),
		GracefulRestart: p.Spec.EnableGracefulRestart,
		BFD:             r.watching(&p.Spec, profiles),
	}
	if peer.Port == 0 {
		peer.Port = defaultPort
	}
	r.asns(&p.Spec, &peer)
	r.place(&p.Spec, &peer)
	r.timers(&p.Spec, &peer)
	r.routerID(&p.Spec, &peer)
	r.password(p, &peer)
	return peer
}

// asns reads the AS numbers, and what hangs on whether the session is internal.
func (r *reader) asns(s *v1beta2.BGPPeerSpec, peer *Peer) {
	peer.MyASN, peer.PeerASN = s.MyASN, s.ASN
	if s.LocalASN != 0 {
		peer.MyASN = s.LocalASN
	}
	if s.MyASN == 0 {
		r.refuse("spec.myASN", "0 is no AS number: allowed are %s", allowedASNs)
	}
	switch s.DynamicASN {
	case "":
		if s.ASN == 0 {
			r.refuse("spec.peerASN", "0 is no AS number: allowed are %s, or spec.dynamicASN internal or external instead", allowedASNs)
		}
	case v1beta2.InternalASNMode:
		peer.PeerASN = s.MyASN
	case v1beta2.ExternalASNMode:
	default:
		r.refuse("spec.dynamicASN", "%q: allowed are internal and external", s.DynamicASN)
	}
	if s.ASN != 0 && s.DynamicASN != "" {
		r.refuse("spec.dynamicASN", "%q beside spec.peerASN %d: allowed is one of both", s.DynamicASN, s.ASN)
	}
	internal := peer.PeerASN == peer.MyASN
	if s.EBGPMultiHop && internal && s.ASN == s.MyASN {
		r.refuse("spec.ebgpMultiHop", "true, and AS %d is on both ends: allowed is false, since internal sessions go over any distance", s.MyASN)
	}
	peer.Multihop = s.EBGPMultiHop && !internal
}

// place reads where the router is and how it is reached.
func (r *reader) place(s *v1beta2.BGPPeerSpec, peer *Peer) {
	switch {
	case s.Address == "" && s.Interface == "":
		r.refuse("spec.peerAddress", "missing: allowed are an address, or spec.interface instead")
	case s.Address != "" && s.Interface != "":
		r.refuse("spec.interface", "%q beside spec.peerAddress %q: allowed is one of both", s.Interface, s.Address)
	case s.Interface != "":
		peer.Interface = r.device("spec.interface", s.Interface)
		peer.IPv4, peer.IPv6 = true, true
	default:
		peer.Address = r.address("spec.peerAddress", s.Address)
		if peer.Address.IsLinkLocalUnicast() && peer.Address.Is6() {
			r.refuse("spec.peerAddress", "%q is on every link: allowed is spec.interface instead", s.Address)
		}
		// Since both families over one session have to be asked for, there is
		// nothing left for spec.disableMP to switch off.
		peer.IPv4 = s.DualStackAddressFamily || peer.Address.Is4()
		peer.IPv6 = s.DualStackAddressFamily || peer.Address.Is6()
	}
	if s.SrcAddress != "" {
		r.source(s, peer)
	}
}

func (r *reader) source(s *v1beta2.BGPPeerSpec, peer *Peer) {
	source := r.address("spec.sourceAddress", s.SrcAddress)
	switch {
	case !source.IsValid():
	case s.Interface != "":
		// Link-local addresses speak to each other there, and the session is
		// the same without.
		r.tell("spec.sourceAddress", "%q is not used with spec.interface, where link-local addresses are: allowed is none", s.SrcAddress)
	case peer.Address.IsValid() && peer.Address.Is4() != source.Is4():
		r.refuse("spec.sourceAddress", "%q can't reach %s: allowed is an %s address", s.SrcAddress, peer.Address, familyOf(peer.Address))
	default:
		peer.Source = source
	}
}

// address reads one that a session may have. It is not valid where it was
// refused.
func (r *reader) address(field, value string) netip.Addr {
	address, err := netip.ParseAddr(value)
	address = address.Unmap()
	if err != nil || address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() {
		r.refuse(field, "%q: allowed is the address of one host, IPv4 or IPv6, without a zone", value)
		return netip.Addr{}
	}
	return address
}

// device reads the name of a network interface, empty for none.
func (r *reader) device(field, name string) string {
	const longest = 15 // IFNAMSIZ without the final 0
	if len(name) > longest || strings.ContainsAny(name, "/: \t\n") || name == "." || name == ".." {
		r.refuse(field, "%q is no name of a network interface: allowed are up to %d characters without slash, colon and space", name, longest)
	}
	return name
}

func (r *reader) routerID(s *v1beta2.BGPPeerSpec, peer *Peer) {
	if s.RouterID == "" {
		return
	}
	id, err := netip.ParseAddr(s.RouterID)
	if id = id.Unmap(); err != nil || !id.Is4() || id.IsUnspecified() {
		r.refuse("spec.routerID", "%q: allowed are IPv4 addresses but 0.0.0.0", s.RouterID)
		return
	}
	peer.RouterID = id
}

// password reads where the password is. The namespace of the Secret is the
// installation's, whatever is asked for: others are not read from.
func (r *reader) password(p *v1beta2.BGPPeer, peer *Peer) {
	secret := p.Spec.PasswordSecret
	if p.Spec.Password != "" && secret.Name != "" {
		r.refuse("spec.passwordSecret", "%q beside spec.password: allowed is one of both", secret.Name)
	}
	if secret.Name != "" && secret.Namespace != "" && secret.Namespace != p.Namespace {
		r.tell("spec.passwordSecret.namespace", "%q: Secret %q is read from namespace %q: allowed are that one, and none", secret.Namespace, secret.Name, p.Namespace)
	}
	if n := len(p.Spec.Password); n > MaxPassword {
		r.refuse("spec.password", "%d bytes: allowed are up to %d, as Linux takes for TCP MD5 signatures", n, MaxPassword)
	}
	peer.Password, peer.PasswordSecret = p.Spec.Password, secret.Name
}

// watching is the BFD that is asked for. Inside a VRF it would stay down for
// ever: the kernel gives packets from there to sockets bound to the VRF only
// (udp_l3mdev_accept), and BFD has none.
func (r *reader) watching(s *v1beta2.BGPPeerSpec, profiles map[string]*BFD) *BFD {
	if s.BFDProfile != "" && s.VRFName != "" {
		r.refuse("spec.bfdProfile", "%q beside spec.vrf %q, and BFD does not work inside a VRF: allowed is one of both", s.BFDProfile, s.VRFName)
		return nil
	}
	return r.profile(s.BFDProfile, profiles)
}

// profile finds a BFDProfile. Without it there is no session either: the user
// counts on failures being noticed fast.
func (r *reader) profile(name string, profiles map[string]*BFD) *BFD {
	if name == "" {
		return nil
	}
	profile, exists := profiles[name]
	switch {
	case !exists:
		r.refuse("spec.bfdProfile", "%q is no BFDProfile: create it, or leave the field out", name)
	case profile == nil:
		r.refuse("spec.bfdProfile", "%q is a BFDProfile that can't be followed: mend what is told of it", name)
	}
	return profile
}

// timers reads the three of them. RFC 4271 section 4.2 rules out hold times of
// one and two seconds; a second is the unit of the protocol.
func (r *reader) timers(s *v1beta2.BGPPeerSpec, peer *Peer) {
	hold, keepalive := r.seconds("spec.holdTime", s.HoldTime), r.seconds("spec.keepaliveTime", s.KeepaliveTime)
	switch {
	case s.HoldTime == nil && s.KeepaliveTime == nil:
		hold, keepalive = defaultHold, defaultKeepalive
	case s.HoldTime == nil:
		hold = 3 * keepalive
	case s.KeepaliveTime == nil:
		keepalive = (hold / 3).Truncate(time.Second)
	}
	field, given := "spec.holdTime", s.HoldTime
	if given == nil {
		field, given = "spec.keepaliveTime", s.KeepaliveTime
	}
	switch {
	case hold > 65535*time.Second:
		r.refuse(field, "%v makes a hold time of %v: allowed are 0 and 3s to 18h12m15s", given.Duration, hold)
	case hold < 3*time.Second && (hold != 0 || given.Duration != 0):
		r.refuse(field, "%v makes a hold time of %v: allowed are 0 and 3s to 18h12m15s", given.Duration, hold)
	case keepalive < 0 || keepalive > hold:
		r.refuse("spec.keepaliveTime", "%v: allowed are 0 to the hold time, %v", keepalive, hold)
	case keepalive == 0 && hold != 0:
		keepalive = (hold / 3).Truncate(time.Second)
		r.tell("spec.keepaliveTime", "%v would let the session end after each hold time: %v is taken: allowed are 1s and more", s.KeepaliveTime.Duration, keepalive)
	}
	peer.HoldTime, peer.KeepaliveTime = hold, keepalive
	r.connectTime(s, peer)
}

func (r *reader) connectTime(s *v1beta2.BGPPeerSpec, peer *Peer) {
	peer.ConnectTime = defaultConnect
	if s.ConnectTime == nil {
		return
	}
	peer.ConnectTime = r.seconds("spec.connectTime", s.ConnectTime)
	if peer.ConnectTime < time.Second || peer.ConnectTime > 65535*time.Second {
		r.refuse("spec.connectTime", "%v: allowed are 1s to 18h12m15s", s.ConnectTime.Duration)
	}
}

// seconds cuts off parts of a second, which the protocol has no room for, 0
// where there is no value.
func (r *reader) seconds(field string, value *metav1.Duration) time.Duration {
	if value == nil {
		return 0
	}
	whole := value.Truncate(time.Second)
	if whole != value.Duration {
		r.tell(field, "%v is taken as %v: allowed are whole seconds", value.Duration, whole)
	}
	return whole
}
