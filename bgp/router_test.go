//go:build linux

package bgp

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"golang.org/x/sys/unix"
)

// patience is for what a busy machine does late; nothing waits for it to pass.
const patience = 30 * time.Second

// router is one that speaks BGP just as well as a test needs it.
type router struct {
	t    *testing.T
	addr netip.AddrPort
	asn  uint32
	// families are those that it takes; restarts says that it helps those who
	// restart, and password what it wants.
	families []bgp.Family
	restarts bool
	password string
	// withholds: it sends no End-of-RIB; classic: it takes no IPv6 next hop for
	// IPv4 (RFC 8950), though it is reached by IPv6.
	withholds, classic bool
	// script takes the place of what a router does after accepting, if any.
	script func(net.Conn)

	listener net.Listener
	group    sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]bool
	up       map[net.Conn]bool
	sessions int // since the start
	routes   map[netip.Prefix]string
	updates  int
	ends     map[bgp.Family]int // End-of-RIB markers
	// first is how many routes were known at the first of IPv4.
	first    int
	open     *bgp.BGPOpen
	goodbyes []string // how connections ended
}

// newRouter makes a router that listens; change may alter it before.
func newRouter(t *testing.T, addr string, asn uint32, change func(*router)) *router {
	t.Helper()
	r := &router{
		t: t, addr: netip.MustParseAddrPort(addr), asn: asn, families: []bgp.Family{bgp.RF_IPv4_UC, bgp.RF_IPv6_UC},
		conns: map[net.Conn]bool{}, up: map[net.Conn]bool{}, routes: map[netip.Prefix]string{}, ends: map[bgp.Family]int{}, first: -1,
	}
	if change != nil {
		change(r)
	}
	r.listen()
	t.Cleanup(r.stop)
	return r
}

func (r *router) listen() {
	r.t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if r.password == "" {
			return nil
		}
		var err error
		sig := md5(r.password, netip.MustParseAddr("127.0.0.1"), 0)
		c.Control(func(fd uintptr) {
			err = unix.SetsockoptTCPMD5Sig(int(fd), unix.IPPROTO_TCP, unix.TCP_MD5SIG_EXT, sig)
		})
		return err
	}}
	l, err := lc.Listen(context.Background(), "tcp", r.addr.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.listener = l
	r.group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns[conn] = true
			r.mu.Unlock()
			r.group.Go(func() { r.serve(conn) })
		}
	})
}

func (r *router) stop() {
	r.listener.Close()
	r.hangUp()
	r.group.Wait()
}

// hangUp closes all connections without a word.
func (r *router) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.Close()
	}
}

func (r *router) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.conns, conn)
	}()
	if r.script != nil {
		r.script(conn)
		return
	}
	r.converse(conn)
}

// converse is what a router does.
func (r *router) converse(conn net.Conn) {
	r.say(conn, r.openMessage())
	for {
		m, err := readMessage(conn)
		if err != nil {
			r.ended(err.Error())
			return
		}
		if !r.take(conn, m) {
			return
		}
	}
}

// readMessage reads one message with the codec.
func readMessage(r io.Reader) (*bgp.BGPMessage, error) {
	data := make([]byte, headerLength)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(data[16:18]))
	if length < headerLength || length > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	data = append(data, make([]byte, length-headerLength)...)
	if _, err := io.ReadFull(r, data[headerLength:]); err != nil {
		return nil, err
	}
	return bgp.ParseBGPMessage(data)
}

func (r *router) openMessage() *bgp.BGPMessage {
	caps := []bgp.ParameterCapabilityInterface{bgp.NewCapFourOctetASNumber(r.asn)}
	var tuples []*bgp.CapGracefulRestartTuple
	for _, f := range r.families {
		caps = append(caps, bgp.NewCapMultiProtocol(f))
		tuples = append(tuples, bgp.NewCapGracefulRestartTuple(f, true))
	}
	if r.addr.Addr().Is6() && !r.classic {
		tuple := bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_UC, bgp.AFI_IP6)
		caps = append(caps, bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{tuple}))
	}
	if r.restarts {
		caps = append(caps, bgp.NewCapGracefulRestart(false, false, 120, tuples))
	}
	id := netip.AddrFrom4([4]byte{9, 9, byte(r.addr.Port() >> 8), byte(r.addr.Port())})
	m, err := bgp.NewBGPOpenMessage(uint16(r.asn), 90, id, []bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(caps)})
	if err != nil {
		r.t.Error(err)
	}
	return m
}

func (r *router) say(conn net.Conn, m *bgp.BGPMessage) {
	b, err := m.Serialize()
	if err != nil {
		r.t.Error(err)
	}
	conn.Write(b)
}

func (r *router) take(conn net.Conn, m *bgp.BGPMessage) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch body := m.Body.(type) {
	case *bgp.BGPOpen:
		r.open = body
		r.say(conn, bgp.NewBGPKeepAliveMessage())
	case *bgp.BGPNotification:
		r.goodbyes = append(r.goodbyes, codeName(body.ErrorCode, body.ErrorSubcode))
		return false
	case *bgp.BGPKeepAlive:
		if r.up[conn] {
			return true
		}
		r.up[conn] = true
		r.sessions++
		if r.restarts && !r.withholds {
			for _, f := range r.families {
				r.say(conn, bgp.NewEndOfRib(f))
			}
		}
	case *bgp.BGPUpdate:
		r.update(body)
	}
	return true
}

// forget has it know no routes.
func (r *router) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.routes)
}

func (r *router) ended(how string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.goodbyes = append(r.goodbyes, how)
}

func (r *router) update(u *bgp.BGPUpdate) {
	if end, f := u.IsEndOfRib(); end {
		r.ends[f]++
		if r.first < 0 && f == bgp.RF_IPv4_UC {
			r.first = len(r.routes)
		}
		return
	}
	r.updates++
	for _, n := range u.WithdrawnRoutes {
		delete(r.routes, n.NLRI.(*bgp.IPAddrPrefix).Prefix)
	}
	text, reach := render(u.PathAttributes)
	for _, a := range u.PathAttributes {
		if gone, ok := a.(*bgp.PathAttributeMpUnreachNLRI); ok {
			for _, n := range gone.Value {
				delete(r.routes, n.NLRI.(*bgp.IPAddrPrefix).Prefix)
			}
		}
	}
	for _, n := range append(reach, u.NLRI...) {
		r.routes[n.NLRI.(*bgp.IPAddrPrefix).Prefix] = text
	}
}

// render makes attributes comparable.
func render(attrs []bgp.PathAttributeInterface) (text string, reach []bgp.PathNLRI) {
	var all []string
	for _, a := range attrs {
		switch a := a.(type) {
		case *bgp.PathAttributeOrigin:
		case *bgp.PathAttributeMpReachNLRI:
			reach = a.Value
			all = append(all, fmt.Sprintf("via %v", a.Nexthop))
		case *bgp.PathAttributeNextHop:
			all = append(all, fmt.Sprintf("via %v", a.Value))
		case *bgp.PathAttributeAsPath:
			var path []uint32
			for _, p := range a.Value {
				path = append(path, p.GetAS()...)
			}
			all = append(all, fmt.Sprintf("path %v", path))
		default:
			all = append(all, a.String())
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", "), reach
}

// snapshot is what a router knows.
type snapshot struct {
	routes            map[netip.Prefix]string
	updates, sessions int
	goodbyes          []string
	open              *bgp.BGPOpen
	ends              map[bgp.Family]int
	first             int
}

func (r *router) snapshot() snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return snapshot{maps.Clone(r.routes), r.updates, r.sessions, slices.Clone(r.goodbyes), r.open, maps.Clone(r.ends), r.first}
}

// await waits until what a router knows is as it should be.
func (r *router) await(what string, ok func(snapshot) bool) snapshot {
	r.t.Helper()
	late := time.Now().Add(patience)
	for {
		s := r.snapshot()
		if ok(s) {
			return s
		}
		if time.Now().After(late) {
			r.t.Fatalf("waiting for %s: %d routes, %d updates, %d sessions, goodbyes %q", what, len(s.routes), s.updates, s.sessions, s.goodbyes)
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *router) awaitRoutes(n int) snapshot {
	r.t.Helper()
	return r.await(fmt.Sprint(n, " routes"), func(s snapshot) bool { return len(s.routes) == n })
}

// running is an announcer in a test.
type running struct {
	*Announcer
	t    *testing.T
	stop func()
}

// run starts an announcer; change may alter it before.
func run(t *testing.T, change func(*Announcer)) *running {
	t.Helper()
	a := New(Options{})
	if change != nil {
		change(a)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r := &running{Announcer: a, t: t, stop: sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})}
	t.Cleanup(r.stop)
	return r
}

// peer is one for a router, external with its own AS number.
func (r *router) peer(name string) Peer {
	return Peer{
		Name: name, MyASN: 64512, PeerASN: r.asn, Address: r.addr.Addr(), Port: r.addr.Port(),
		RouterID: netip.MustParseAddr("10.0.0.1"), HoldTime: 90 * time.Second, KeepaliveTime: 30 * time.Second,
		ConnectTime: 2 * time.Second, IPv4: true, IPv6: true,
	}
}

// awaitSession waits until a session is as it should be.
func (a *running) awaitSession(name, what string, ok func(Session) bool) Session {
	a.t.Helper()
	late := time.Now().Add(patience)
	for {
		var got Session
		for _, s := range a.Sessions() {
			if s.Peer == name {
				got = s
			}
		}
		if ok(got) {
			return got
		}
		if time.Now().After(late) {
			a.t.Fatalf("waiting for %s: got %+v", what, got)
		}
		time.Sleep(time.Millisecond)
	}
}

func (a *running) awaitUp(name string) Session {
	a.t.Helper()
	return a.awaitSession(name, name+" up", func(s Session) bool { return s.State == Established })
}

func (a *running) awaitError(name, words string) Session {
	a.t.Helper()
	return a.awaitSession(name, fmt.Sprintf("%q", words), func(s Session) bool { return strings.Contains(s.Error, words) })
}

func prefix(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 32)
}

func to(peers ...string) []Path { return []Path{{Peers: peers}} }
