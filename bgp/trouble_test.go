//go:build linux

package bgp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"golang.org/x/net/ipv4"

	"github.com/berth-lb/berth/bfd"
)

const secret = "open sesame"

// says is a script that sends messages, each after one from the other end but
// for the first.
func says(messages ...[]byte) func(net.Conn) {
	return func(conn net.Conn) {
		for _, m := range messages {
			conn.Write(m)
			if _, err := readMessage(conn); err != nil {
				return
			}
		}
		for {
			if _, err := readMessage(conn); err != nil {
				return
			}
		}
	}
}

func notify(code, subcode uint8, data string) []byte {
	return notification{code, subcode, []byte(data)}.message()
}

func wire(m *bgp.BGPMessage) []byte {
	b, err := m.Serialize()
	if err != nil {
		panic(err)
	}
	return b
}

// Each trouble is explained, and a peer beside them is not touched.
func TestTrouble(t *testing.T) {
	var mu sync.Mutex
	var logged bytes.Buffer
	log := funcr.New(func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&logged, prefix, args)
	}, funcr.Options{Verbosity: 10})
	a := run(t, func(a *Announcer) { a.opts.Log = log })

	well := newRouter(t, "127.0.51.1:17951", 64600, nil)
	// open is the OPEN of a router that is as it should be.
	open := wire((&router{t: t, addr: well.addr, asn: 64600, families: well.families}).openMessage())
	keepalive := wire(bgp.NewBGPKeepAliveMessage())
	long := strings.Repeat("x", 120) + "\x1b[2J"
	cases := []struct {
		why    string
		router func(*router) // nil: nothing listens
		peer   func(*Peer)
		want   string
	}{
		{"nothing listens", nil, nil, "refuses connections"},
		{"closes after accepting, as FRR does with strangers", func(r *router) { r.script = func(net.Conn) {} }, nil, "without a word"},
		{"says nothing", func(r *router) { r.script = says() }, nil, "says nothing"},
		{"is in another AS", func(r *router) { r.asn = 64999 }, nil, ""},
		{"refuses this end's AS in place of an OPEN", func(r *router) { r.script = says(notify(2, 2, "")) }, nil,
			"the router said: OPEN message error, bad peer AS (this end is in AS 64512"},
		{"refuses it after its own OPEN", func(r *router) { r.script = says(open, notify(2, 2, "")) }, nil,
			"the router said: OPEN message error, bad peer AS (this end is in AS 64512"},
		{"is shut, with words that can't be trusted", func(r *router) {
			r.script = says(notify(6, 2, string(byte(len(long)))+long))
		}, nil, `the router said: Cease, administrative shutdown "xxx`},
		{"ends a session", func(r *router) { r.script = says(open, keepalive, notify(6, 9, "")) }, nil, "hard reset"},
		{"wants another password", func(r *router) { r.password = "another" }, func(p *Peer) { p.Password = secret }, "a wrong password looks the same"},
		{"wants a password", func(r *router) { r.password = "another" }, nil, "a router that wants a password stays silent"},
		{"sends what is not BGP", func(r *router) {
			r.script = func(conn net.Conn) {
				conn.Write([]byte("SSH-2.0-OpenSSH_9.6p1 and a bit more\r\n"))
				readMessage(conn)
			}
		}, nil, "what is not BGP"},
		{"sends garbage in a session", func(r *router) {
			r.script = func(conn net.Conn) {
				conn.Write(open)
				conn.Write(keepalive)
				for range 2 {
					readMessage(conn)
				}
				conn.Write(bytes.Repeat([]byte{0xff}, 100))
				readMessage(conn)
			}
		}, nil, "not BGP"},
		{"no such source address", nil, func(p *Peer) { p.Source = netip.MustParseAddr("203.0.113.9") }, "no address 203.0.113.9"},
		{"no such device", nil, func(p *Peer) { p.Device = "vrf-none" }, "no device vrf-none"},
		{"no such interface", nil, func(p *Peer) { p.Interface, p.Address = "eth-none", netip.Addr{} }, "no interface eth-none"},
		{"in the own AS, where any other would do", func(r *router) { r.asn = 64512 }, func(p *Peer) { p.PeerASN = 0 }, "is in AS 64512 as this end is"},
	}
	peers := []Peer{well.peer("well")}
	for i, c := range cases {
		r := &router{asn: 64600, addr: netip.MustParseAddrPort(fmt.Sprintf("127.0.51.%d:%d", 10+i, 17960+i))}
		if c.router != nil {
			r = newRouter(t, r.addr.String(), 64600, c.router)
		}
		p := r.peer(fmt.Sprint("p", i))
		p.PeerASN = 64600
		if c.peer != nil {
			c.peer(&p)
		}
		peers = append(peers, p)
	}
	a.SetPeers(peers)
	begin := time.Now()
	a.Announce(prefix(1), to("well"))
	a.Synced()
	for i, c := range cases {
		want := c.want
		if want == "" {
			want = "the router is in AS 64999, not in 64600 as the BGPPeer has it"
		}
		s := a.awaitError(fmt.Sprint("p", i), want)
		if strings.ContainsAny(s.Error, "\x1b\n") || len(s.Error) > 300 || strings.Contains(s.Error, secret) {
			t.Errorf("%s: unsafe: %q", c.why, s.Error)
		}
		t.Logf("%v %s: %s: %s", time.Since(begin), c.why, s.State, s.Error)
	}
	if s := well.awaitRoutes(1); s.sessions != 1 || len(s.goodbyes) > 0 {
		t.Errorf("the one beside them: %d sessions, %q", s.sessions, s.goodbyes)
	}
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(logged.String(), secret) {
		t.Error("the password is in the log")
	}
}

// Trouble that ends is over without a restart.
func TestRecovery(t *testing.T) {
	r := newRouter(t, "127.0.51.50:17995", 64600, nil)
	r.stop()
	a := run(t, nil)
	dynamic := r.peer("r")
	dynamic.PeerASN, dynamic.Multihop = 0, true
	a.SetPeers([]Peer{dynamic})
	a.Announce(prefix(1), to("r"))
	a.Synced()
	a.awaitError("r", "refuses connections")
	for range 3 {
		r.listen()
		begin := time.Now()
		a.awaitUp("r")
		r.awaitRoutes(1)
		t.Logf("back %v after the router listens", time.Since(begin).Round(time.Millisecond))
		r.stop()
		a.awaitSession("r", "the loss", func(s Session) bool { return s.State != Established && s.Error != "" })
		r.mu.Lock()
		clear(r.routes)
		r.mu.Unlock()
	}
	if s := a.Sessions()[0]; s.Updates != 3 {
		t.Errorf("got %+v", s)
	}
}

// On an interface without a number, the router that has taken the place of
// another one is called as soon as that is gone.
func TestReplacedRouter(t *testing.T) {
	old := newRouter(t, "127.0.51.80:17980", 64600, nil)
	young := newRouter(t, "127.0.51.81:17980", 64600, nil)
	a := run(t, nil)
	p := old.peer("r")
	p.Interface, p.Address = "lo", netip.Addr{}
	a.SetPeers([]Peer{p})
	a.Announce(prefix(1), to("r"))
	a.Synced()
	hear := func(r *router) {
		a.mail.post(func(t *thread) { t.links["r"].found(r.addr.Addr()) })
	}
	hear(old)
	old.awaitRoutes(1)
	a.awaitUp("r")
	hear(old)
	hear(young)
	if s := old.snapshot(); s.sessions != 1 || len(s.goodbyes) > 0 {
		t.Errorf("a session that stands is left: %q", s.goodbyes)
	}
	old.stop()
	young.awaitRoutes(1)
}

// Lost sessions come back soon however often that happens.
func TestFlapping(t *testing.T) {
	r := newRouter(t, "127.0.51.51:17996", 64600, nil)
	a := run(t, nil)
	a.SetPeers([]Peer{r.peer("r")})
	a.Synced()
	begin := time.Now()
	for i := range 4 {
		r.await("a session", func(s snapshot) bool { return s.sessions == i+1 })
		r.hangUp()
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("4 sessions took %v", took)
	}
}

// When BFD says that the router is gone, so is the session, long before the hold
// time. What BFD was told to stop is no loss.
func TestBFD(t *testing.T) {
	const port = 13999
	here, there := netip.MustParseAddr("127.0.51.60"), netip.MustParseAddr("127.0.51.61")
	r := newRouter(t, "127.0.51.61:17998", 64600, nil)
	a := run(t, func(a *Announcer) {
		a.opts.BFDPort = port
		a.bfdListen = []netip.Addr{here}
	})
	p := r.peer("r")
	p.Source = here
	p.BFD = &BFD{Transmit: 100 * time.Millisecond, Receive: 100 * time.Millisecond, Multiplier: 10}
	a.SetPeers([]Peer{p})
	a.Synced()
	a.awaitUp("r")
	up := func(s Session) bool { return s.BFD == "Up" && s.State == Established }
	b := newBFDRouter(t, netip.AddrPortFrom(there, port))
	a.awaitSession("r", "BFD up", up)
	b.become(bfd.AdminDown)
	a.awaitSession("r", "BFD ended on purpose", func(s Session) bool { return s.BFD == "Down" })
	if s := r.snapshot(); s.sessions != 1 || len(s.goodbyes) > 0 {
		t.Errorf("AdminDown: %d sessions, %q", s.sessions, s.goodbyes)
	}
	b.become(bfd.Up)
	a.awaitSession("r", "BFD up again", up)
	changed := p
	changed.BFD = &BFD{Transmit: 120 * time.Millisecond, Receive: 120 * time.Millisecond, Multiplier: 3}
	a.SetPeers([]Peer{changed})
	b.become(bfd.Down)
	if s := r.await("the second session", func(s snapshot) bool { return s.sessions >= 2 }); s.goodbyes[0] != "Cease, BFD down" {
		t.Errorf("%q", s.goodbyes)
	}
}

// Why BFD can't come up is an error of the session as long as it is so.
func TestBFDProblems(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.51.62:13997")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := newRouter(t, "127.0.51.63:17997", 64600, nil)
	a := run(t, func(a *Announcer) {
		a.opts.BFDPort, a.opts.BFDMultihopPort = 13996, 13997
		a.bfdListen = []netip.Addr{netip.MustParseAddr("127.0.51.62")}
	})
	p := r.peer("r")
	p.Multihop, p.IPv6 = true, false
	p.BFD = &BFD{Transmit: time.Second, Receive: time.Second, Multiplier: 3}
	a.SetPeers([]Peer{p})
	a.Synced()
	if s := a.awaitError("r", "BFD does not work: listening for BFD on 127.0.51.62:13997"); s.State != Established || s.BFD != "Down" {
		t.Errorf("got %+v", s)
	}
	taken.Close()
	a.awaitSession("r", "no more error", func(s Session) bool { return s.Error == "" })
	if c := a.BFDCounters(); c.Sent == 0 {
		t.Errorf("got %+v", c)
	}
}

// bfdRouter answers each packet of BFD as long as it is Up, says AdminDown, or,
// when Down, nothing at all.
type bfdRouter struct {
	mu    sync.Mutex
	state bfd.State
}

func (b *bfdRouter) become(s bfd.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = s
}

func newBFDRouter(t *testing.T, addr netip.AddrPort) *bfdRouter {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	if err := ipv4.NewConn(conn).SetTTL(255); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	b := &bfdRouter{state: bfd.Up}
	go func() {
		data := make([]byte, 100)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(data)
			if err != nil {
				return
			}
			if p, err := bfd.Parse(data[:n]); err == nil {
				b.answer(conn, p, netip.AddrPortFrom(from.Addr(), addr.Port()))
			}
		}
	}()
	return b
}

func (b *bfdRouter) answer(conn *net.UDPConn, p bfd.Packet, to netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := bfd.Packet{
		State: b.state, Multiplier: 10, MyDiscriminator: 7, YourDiscriminator: p.MyDiscriminator,
		DesiredMinTx: 100 * time.Millisecond, RequiredMinRx: 100 * time.Millisecond, Final: p.Poll,
	}
	switch {
	case b.state == bfd.Down:
		return
	case b.state == bfd.Up && p.State == bfd.Down:
		a.State = bfd.Init
	}
	conn.WriteToUDPAddrPort(a.Append(nil), to)
}

// Nothing of it runs after the end, nor of any session that a router ended.
func TestNoLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	r := newRouter(t, "127.0.51.70:17999", 64600, nil)
	leaver := newRouter(t, "127.0.51.71:17899", 64600, nil)
	rude := newRouter(t, "127.0.51.72:17898", 64600, func(r *router) { r.script = func(net.Conn) {} })
	a := run(t, func(a *Announcer) {
		a.opts.Log = logr.Discard()
		a.opts.BFDPort = 13998
	})
	dead := r.peer("dead")
	dead.Port = 1
	p := r.peer("r")
	p.BFD = &BFD{Transmit: time.Second, Receive: time.Second, Multiplier: 3}
	nowhere := r.peer("nowhere")
	nowhere.Address, nowhere.Interface = netip.Addr{}, "lo"
	peers := []Peer{p, dead, nowhere, rude.peer("rude")}
	a.SetPeers(append(peers, leaver.peer("leaver")))
	a.Synced()
	a.awaitUp("r")
	for i := range 3 {
		leaver.await("a session", func(s snapshot) bool { return s.sessions == i+1 })
		a.awaitUp("leaver")
		leaver.hangUp()
	}
	a.awaitError("rude", "without a word")
	a.SetPeers(peers)
	a.stop()
	r.stop()
	leaver.stop()
	rude.stop()
	late := time.Now().Add(patience)
	for runtime.NumGoroutine() > before {
		if time.Now().After(late) {
			all := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, all[:runtime.Stack(all, true)])
		}
		time.Sleep(time.Millisecond)
	}
}
