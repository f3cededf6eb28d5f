//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"golang.org/x/sys/unix"
)

// Whatever breaks the rules is told so, as RFC 4271 section 6 has it.
func TestNotifications(t *testing.T) {
	base := func(hold uint16, caps ...bgp.ParameterCapabilityInterface) []byte {
		return frame(bgp.BGP_MSG_OPEN, offer(64600, hold, theirID, caps...))
	}
	open := base(90)
	refresh := wire(bgp.NewBGPRouteRefreshMessage(bgp.AFI_IP, 0, bgp.SAFI_UNICAST))
	cases := []struct {
		why  string
		says [][]byte // and nothing after them
		want notification
	}{
		{"no BGP", [][]byte{[]byte("220 mail.example.com ESMTP")}, notification{1, 1, nil}},
		{"a message without end", [][]byte{header(5000, 1)}, notification{1, 2, []byte{0x13, 0x88}}},
		{"a type that there isn't", [][]byte{open, keepalive, frame(9, nil)}, notification{1, 3, []byte{9}}},
		{"another AS", [][]byte{frame(bgp.BGP_MSG_OPEN, offer(64999, 90, theirID))}, notification{2, 2, nil}},
		{"no router ID", [][]byte{frame(bgp.BGP_MSG_OPEN, offer(64600, 90, netip.IPv4Unspecified()))}, notification{2, 3, nil}},
		{"a hold time of 1 s", [][]byte{base(1)}, notification{2, 6, nil}},
		{"a keepalive before OPEN", [][]byte{keepalive}, notification{5, 1, []byte{4}}},
		{"an UPDATE before a keepalive", [][]byte{open, endOfRIB(nil, bgp.RF_IPv4_UC)}, notification{5, 2, []byte{2}}},
		{"OPEN twice", [][]byte{open, keepalive, open}, notification{5, 3, []byte{1}}},
		{"silence after OPEN", [][]byte{base(3)}, notification{4, 0, nil}},
		{"silence in a session; what it asks is no sign of life", [][]byte{base(3), keepalive, refresh}, notification{4, 0, nil}},
	}
	a := run(t, nil)
	var peers []Peer
	heard := make([]chan notification, len(cases))
	for i, c := range cases {
		heard[i] = make(chan notification, 100)
		r := newRouter(t, fmt.Sprintf("127.0.52.%d:%d", 1+i, 17800+i), 64600, func(r *router) {
			r.script = func(conn net.Conn) { listenTo(conn, c.says, heard[i]) }
		})
		peers = append(peers, r.peer(fmt.Sprint("p", i)))
	}
	a.SetPeers(peers)
	a.Synced()
	for i, c := range cases {
		select {
		case got := <-heard[i]:
			if string(got.message()) != string(c.want.message()) {
				t.Errorf("%s: got %d/%d %v, want %d/%d %v", c.why, got.code, got.subcode, got.data, c.want.code, c.want.subcode, c.want.data)
			}
		case <-time.After(patience):
			t.Errorf("%s: nothing is said", c.why)
		}
	}
}

// listenTo says something and passes on with what the other end takes its leave.
func listenTo(conn net.Conn, says [][]byte, heard chan<- notification) {
	for _, m := range says {
		conn.Write(m)
	}
	in := newReader(conn)
	for {
		m, err := in.next()
		if err != nil {
			return
		}
		if m.kind == bgp.BGP_MSG_NOTIFICATION {
			n := parseNotification(m.body)
			n.data = append([]byte(nil), n.data...)
			select {
			case heard <- n:
			default:
			}
		}
	}
}

// Who asks gets all of the family once more (RFC 2918), and nothing else.
func TestRouteRefresh(t *testing.T) {
	ask := make(chan bgp.Family)
	r := newRouter(t, "[::1]:17830", 64600, func(r *router) {
		r.script = func(conn net.Conn) {
			go func() {
				for f := range ask {
					r.say(conn, bgp.NewBGPRouteRefreshMessage(f.Afi(), 0, f.Safi()))
				}
			}()
			r.converse(conn)
		}
	})
	defer close(ask)
	a := run(t, nil)
	a.SetPeers([]Peer{r.peer("r")})
	for i := range 10 {
		a.Announce(prefix(i), to("r"))
		a.Announce(prefix6(i), to("r"))
	}
	a.Synced()
	r.awaitRoutes(20)
	for i, family := range []bgp.Family{bgp.RF_IPv6_UC, bgp.RF_IPv4_UC} {
		r.forget()
		ask <- family
		r.awaitRoutes(10)
		if s := r.snapshot(); s.updates != 3+i {
			t.Errorf("%v: %d UPDATEs, want %d", family, s.updates, 3+i)
		}
	}
	ask <- bgp.NewFamily(bgp.AFI_IP, bgp.SAFI_MPLS_VPN) // was never agreed
	a.Announce(prefix(100), to("r"))
	if s := r.awaitRoutes(11); s.updates != 5 {
		t.Errorf("%d UPDATEs after all, want 5", s.updates)
	}
}

// A router that reads nothing neither stops what the others are told, nor keeps
// the end waiting for long, and Leave names it.
func TestSlowRouter(t *testing.T) {
	stuck := newRouter(t, "127.0.52.40:17840", 64600, func(r *router) {
		r.script = func(conn net.Conn) {
			conn.(*net.TCPConn).SetReadBuffer(4096)
			r.say(conn, r.openMessage())
			r.say(conn, bgp.NewBGPKeepAliveMessage())
			<-r.t.Context().Done()
		}
	})
	well := newRouter(t, "127.0.52.41:17841", 64600, nil)
	a := run(t, nil)
	a.SetPeers([]Peer{stuck.peer("stuck"), well.peer("well")})
	const prefixes = 2000
	a.Synced()
	a.awaitUp("stuck")
	for round := range uint32(1000) {
		for i := range prefixes {
			a.Announce(prefix(i), []Path{{Peers: []string{"stuck", "well"}, Communities: []uint32{round, uint32(i)}}})
		}
		if round%100 == 99 {
			mark := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 0, byte(round / 100)}), 32)
			a.Announce(mark, to("stuck", "well"))
			well.await("what comes last", func(s snapshot) bool { return s.routes[mark] != "" })
			if filled(a, "stuck") {
				break
			}
		}
	}
	if s := a.awaitUp("stuck"); s.Error != "" && !strings.Contains(s.Error, "not announced") {
		t.Errorf("got %+v", s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	err := a.Leave(ctx)
	if err == nil || !strings.Contains(err.Error(), "withdrawing from stuck") || strings.Contains(err.Error(), "well") {
		t.Errorf("leaving: %v", err)
	}
	well.awaitRoutes(0)
	begin := time.Now()
	a.stop()
	if took := time.Since(begin); took > farewell+4*lastWords {
		t.Errorf("the end took %v", took)
	}
}

// filled says that a router has been sent fewer UPDATEs than there would be.
func filled(a *running, peer string) bool {
	updates := map[string]uint64{}
	for _, s := range a.Sessions() {
		updates[s.Peer] = s.Updates
	}
	return updates[peer] < updates["well"]/2
}

// A router that sends the whole Internet has a session like any other.
func TestFlood(t *testing.T) {
	all := make(chan struct{})
	r := newRouter(t, "127.0.52.42:17842", 64600, func(r *router) {
		r.script = func(conn net.Conn) {
			r.say(conn, r.openMessage())
			r.say(conn, bgp.NewBGPKeepAliveMessage())
			flood := frame(bgp.BGP_MSG_UPDATE, make([]byte, maxMessage-headerLength))
			for range 10_000 {
				if _, err := conn.Write(flood); err != nil {
					t.Error(err)
					break
				}
			}
			close(all)
			readMessage(conn)
			<-r.t.Context().Done()
		}
	})
	a := run(t, nil)
	a.SetPeers([]Peer{r.peer("r")})
	a.Synced()
	select {
	case <-all:
	case <-time.After(patience):
		t.Fatal("it takes nothing")
	}
	a.awaitUp("r")
}

// Without keepalives there are none, and nobody misses them (RFC 4271 section
// 4.4); with them they come on time.
func TestKeepalives(t *testing.T) {
	script := func(beats chan<- time.Time) func(*router) {
		return func(r *router) {
			r.script = func(conn net.Conn) {
				r.say(conn, r.openMessage())
				r.say(conn, bgp.NewBGPKeepAliveMessage())
				for {
					m, err := readMessage(conn)
					if err != nil {
						return
					}
					if m.Header.Type == bgp.BGP_MSG_KEEPALIVE {
						beats <- time.Now()
					}
				}
			}
		}
	}
	beats, none := make(chan time.Time, 100), make(chan time.Time, 100)
	often := newRouter(t, "127.0.52.43:17843", 64600, script(beats))
	never := newRouter(t, "127.0.52.44:17844", 64600, script(none))
	a := run(t, nil)
	p, q := often.peer("often"), never.peer("never")
	p.HoldTime, p.KeepaliveTime = 9*time.Second, time.Second
	q.HoldTime, q.KeepaliveTime = 0, 0
	a.SetPeers([]Peer{p, q})
	a.Synced()
	<-none // that which agrees to the OPEN
	first, last := <-beats, time.Time{}
	for range 4 {
		last = <-beats
	}
	if d := last.Sub(first); d < 2*time.Second || d > 9*time.Second {
		t.Errorf("four keepalives took %v", d)
	}
	if len(none) > 0 {
		t.Error("there are keepalives where none were agreed")
	}
	for _, s := range a.Sessions() {
		if s.State != Established {
			t.Errorf("got %+v", s)
		}
	}
}

// Connections are marked as routing, and TCP looks after those where no
// keepalives are sent.
func TestConnections(t *testing.T) {
	a := run(t, nil)
	cases := []struct {
		why         string
		addr        string
		hold        time.Duration
		class, asks int // options of the socket
	}{
		{"by IPv4, with a hold time that is not to be cut short", "127.0.52.50:17850", 90 * time.Second, unix.IP_TOS, 0},
		{"by IPv6, and nothing but TCP would notice a power cut", "[::1]:17851", 0, unix.IPV6_TCLASS, 1},
	}
	var peers []Peer
	for i, c := range cases {
		p := newRouter(t, c.addr, 64600, nil).peer(fmt.Sprint("p", i))
		p.HoldTime, p.KeepaliveTime = c.hold, c.hold/3
		peers = append(peers, p)
	}
	a.SetPeers(peers)
	a.Synced()
	for i, c := range cases {
		name := fmt.Sprint("p", i)
		a.awaitUp(name)
		conns := make(chan *net.TCPConn, 1)
		a.mail.post(func(t *thread) { conns <- t.links[name].session.conn })
		raw, err := (<-conns).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		level := unix.IPPROTO_IP
		if c.class == unix.IPV6_TCLASS {
			level = unix.IPPROTO_IPV6
		}
		for _, o := range []struct {
			name string
			option
		}{
			{"class", option{level, c.class, 0xc0}},
			{"keepalive", option{unix.SOL_SOCKET, unix.SO_KEEPALIVE, c.asks}},
			{"idle", option{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15}},
			{"interval", option{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5}},
			{"count", option{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3}},
		} {
			raw.Control(func(fd uintptr) {
				if got, err := unix.GetsockoptInt(int(fd), o.level, o.option.name); err != nil || got != o.value {
					t.Errorf("%s: %s is %d, want %d (%v)", c.why, o.name, got, o.value, err)
				}
			})
		}
	}
}
