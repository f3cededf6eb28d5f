//go:build linux

package bgp

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.universe.tf/metallb/api/v1beta2"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
)

// impostorASN is that of routers that are none.
const impostorASN = 64999

// impostor is somebody at port 179 who is not what one hopes for.
type impostor struct {
	ln    net.Listener
	calls sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// impersonate has a station take connections to one of its addresses for a router,
// until the story ends. What do does with each is all that ever comes from there,
// the number of the connection counts from 1; then it is closed.
func (g *scene) impersonate(at *lab.Client, addr netip.Addr, do func(conn net.Conn, number int)) (end func()) {
	g.t.Helper()
	im := &impostor{}
	g.must(cluster.InNetns(at.Netns(), func() (err error) {
		im.ln, err = net.Listen("tcp", netip.AddrPortFrom(addr, 179).String())
		return err
	}))
	im.calls.Go(func() {
		for number := 1; ; number++ {
			conn, err := im.ln.Accept()
			if err != nil {
				return
			}
			im.mu.Lock()
			im.conns = append(im.conns, conn)
			im.mu.Unlock()
			im.calls.Go(func() {
				defer conn.Close()
				do(conn, number)
			})
		}
	})
	g.t.Cleanup(im.end)
	return im.end
}

func (im *impostor) end() {
	im.ln.Close()
	im.mu.Lock()
	for _, conn := range im.conns {
		conn.Close()
	}
	im.mu.Unlock()
	im.calls.Wait()
}

// meetImpostor makes that address a peer of node1.
func (g *scene) meetImpostor(name string, addr netip.Addr) {
	g.t.Helper()
	g.meet(name, v1beta2.BGPPeerSpec{ASN: impostorASN, Address: addr.String()})
}

// Types of messages (RFC 4271 section 4.1).
const (
	bgpOpen, bgpUpdate, bgpKeepalive = 1, 2, 4
)

// message is one of BGP.
func message(kind byte, body ...byte) []byte {
	m := slices.Repeat([]byte{0xff}, 16)
	m = binary.BigEndian.AppendUint16(m, uint16(19+len(body)))
	return append(append(m, kind), body...)
}

// opening is an OPEN without capabilities, and the KEEPALIVE that agrees to the
// other's.
func opening() []byte {
	const version, hold, noOptions = 4, 90, 0
	body := binary.BigEndian.AppendUint16([]byte{version}, impostorASN)
	body = binary.BigEndian.AppendUint16(body, hold)
	body = append(body, 192, 0, 2, 99, noOptions)
	return append(message(bgpOpen, body...), message(bgpKeepalive)...)
}

// update announces that many prefixes of one address each, from the first on.
func update(first uint32, count int, hop netip.Addr) []byte {
	attributes := []byte{
		0x40, 1, 1, 0, // ORIGIN: IGP
		0x40, 2, 4, 2, 1, impostorASN >> 8, impostorASN & 0xff, // AS_PATH
		0x40, 3, 4, // NEXT_HOP
	}
	attributes = append(attributes, hop.AsSlice()...)
	body := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(attributes)))
	body = append(body, attributes...)
	for i := range count {
		body = binary.BigEndian.AppendUint32(append(body, 32), first+uint32(i))
	}
	return message(bgpUpdate, body...)
}

// noise is what comes from a port that something else than BGP uses.
func noise(conn net.Conn, _ int) {
	random := rand.NewChaCha8([32]byte{'n', 'o', 'i', 's', 'e'})
	bytes := make([]byte, 4096)
	_, _ = random.Read(bytes)
	_, _ = conn.Write(bytes)
	_, _ = io.Copy(io.Discard, conn)
}

// silence takes everything in.
func silence(conn net.Conn, _ int) { _, _ = io.Copy(io.Discard, conn) }

// nonsense agrees to a session, and then sends a message of a type that there
// isn't.
func nonsense(conn net.Conn, _ int) {
	_, _ = conn.Write(append(opening(), message(0xff, 0xff, 0xff, 0, 0)...))
	_, _ = io.Copy(io.Discard, conn)
}

// torrent is 100,000 routes; done is called when they are on their way.
func torrent(hop netip.Addr, done func()) func(net.Conn, int) {
	return func(conn net.Conn, _ int) {
		const each, all = 800, 100_000
		_, _ = conn.Write(opening())
		for first := uint32(10 << 24); first < 10<<24+all; first += each {
			if _, err := conn.Write(update(first, each, hop)); err != nil {
				return
			}
		}
		done()
		_, _ = io.Copy(io.Discard, conn)
	}
}

// fickle agrees to a session, and hangs up as soon as it stands, so many times.
// Then it stays.
func fickle(times int) func(net.Conn, int) {
	return func(conn net.Conn, number int) {
		_, _ = conn.Write(opening())
		if number > times {
			tick := time.NewTicker(10 * time.Second)
			defer tick.Stop()
			go func() {
				for range tick.C {
					if _, err := conn.Write(message(bgpKeepalive)); err != nil {
						return
					}
				}
			}()
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		header := make([]byte, 19)
		for {
			if _, err := io.ReadFull(conn, header); err != nil || header[18] == bgpKeepalive {
				return
			}
			rest := int64(binary.BigEndian.Uint16(header[16:])) - 19
			if _, err := io.CopyN(io.Discard, conn, rest); err != nil {
				return
			}
		}
	}
}
