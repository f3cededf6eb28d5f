package speaker

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/berth-lb/berth/trafficpolicy"
)

const (
	// askTimeout is how long an answer may take.
	askTimeout = time.Second
	// maxHealthBody bounds what is read of an answer beyond its status.
	maxHealthBody = 4 << 10
)

// asker asks health checks on this node over connections that stay open. It
// does so without net/http's client, which keeps two goroutines and two buffers
// for each connection: there is one for each Service with policy Local.
type asker struct {
	// hosts are the node's own addresses besides those of loopback: kube-proxy
	// in nftables mode answers health check node ports on them alone, unless
	// --nodeport-addresses says otherwise.
	hosts atomic.Pointer[[]netip.Addr]

	mu   sync.Mutex
	open map[int32]net.Conn
}

var loopback = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// buffers are for reading answers.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 1<<10) }}

func newAsker() *asker { return &asker{open: map[int32]net.Conn{}} }

// ask returns what the check on port answers.
func (a *asker) ask(ctx context.Context, port int32) trafficpolicy.Answer {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if conn := a.take(port); conn != nil {
		if status, err := a.exchange(ctx, conn, port); err == nil {
			return trafficpolicy.AnswerOf(status)
		}
		// It may have been closed in the meantime; a new one shows.
	}
	conn, err := a.dial(ctx, port)
	if err != nil {
		return trafficpolicy.Silent
	}
	status, err := a.exchange(ctx, conn, port)
	if err != nil {
		return trafficpolicy.Silent
	}
	return trafficpolicy.AnswerOf(status)
}

// dial connects to the first host that listens on port.
func (a *asker) dial(ctx context.Context, port int32) (net.Conn, error) {
	hosts := loopback
	if own := a.hosts.Load(); own != nil {
		hosts = append(hosts[:len(hosts):len(hosts)], *own...)
	}
	var dialer net.Dialer
	var failures []error
	for _, host := range hosts {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host.String(), strconv.Itoa(int(port))))
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
		if !errors.Is(err, syscall.ECONNREFUSED) && ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}

// exchange asks once and returns the status code. It keeps the connection, or
// closes it where that can't be used again.
func (a *asker) exchange(ctx context.Context, conn net.Conn, port int32) (int, error) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	status, again, err := get(conn)
	if err != nil || !again {
		_ = conn.Close()
		return status, err
	}
	a.keep(port, conn)
	return status, nil
}

// get sends one request; again says whether another one may follow.
func get(conn net.Conn) (status int, again bool, err error) {
	request := "GET /healthz HTTP/1.1\r\nHost: " + conn.RemoteAddr().String() + "\r\nUser-Agent: berth-speaker\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return 0, false, err
	}
	reader := buffers.Get().(*bufio.Reader)
	defer buffers.Put(reader)
	reader.Reset(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, false, err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxHealthBody))
	again = err == nil && !response.Close && n < maxHealthBody && reader.Buffered() == 0
	return response.StatusCode, again, nil
}

func (a *asker) take(port int32) net.Conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	conn := a.open[port]
	delete(a.open, port)
	return conn
}

func (a *asker) keep(port int32, conn net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.open[port]; old != nil {
		_ = old.Close()
	}
	a.open[port] = conn
}

// forget closes the connection to a port that is not asked any more.
func (a *asker) forget(port int32) {
	if conn := a.take(port); conn != nil {
		_ = conn.Close()
	}
}
