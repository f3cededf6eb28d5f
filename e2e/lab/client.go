//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Client is a machine on the segment that is not of the cluster.
type Client struct {
	Station
}

// Dial connects from the station to an address, not to a name.
func (s *Station) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return s.dial(ctx, new(net.Dialer), network, address)
}

func (s *Station) dial(ctx context.Context, from *net.Dialer, network, address string) (conn net.Conn, err error) {
	err = s.ns.do(func() error {
		conn, err = from.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// dials counts connections of dialOnce.
var dials atomic.Uint32

// dialOnce is Dial from a port that was not used for minutes. A node ignores a
// connection that looks like the end of an earlier one, and the kernel, left to
// itself, takes the same port again within a minute.
func (s *Station) dialOnce(ctx context.Context, network, address string) (conn net.Conn, err error) {
	const first, ephemeral = 2048, 32768
	// One that never heard that its connection ended is in use for long.
	for range 20 {
		port := first + dials.Add(1)%(ephemeral-first)
		conn, err = s.dial(ctx, &net.Dialer{LocalAddr: &net.TCPAddr{Port: int(port)}}, network, address)
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return conn, err
}

// Get asks for a page from the station, by a connection of its own, and
// returns status and body.
func (s *Station) Get(ctx context.Context, url string) (int, string, error) {
	response, err := s.get(ctx, url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// SeenAs asks a pod for a page, and returns the address that the pod saw the
// request come from.
func (s *Station) SeenAs(ctx context.Context, url string) (netip.Addr, error) {
	response, err := s.get(ctx, url)
	if err != nil {
		return netip.Addr{}, err
	}
	response.Body.Close()
	from, err := netip.ParseAddrPort(response.Header.Get(clientHeader))
	return from.Addr().Unmap(), err
}

func (s *Station) get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: s.dialOnce, DisableKeepAlives: true}
	return transport.RoundTrip(request)
}

// SetNeighbour has the station know, for good, who owns the addresses.
func (s *Station) SetNeighbour(mac net.HardwareAddr, addrs ...netip.Addr) error {
	var set commands
	for _, addr := range addrs {
		set.add("neigh replace %s lladdr %s dev eth0 nud permanent", addr, mac)
	}
	return s.ns.ip(set)
}

// ForgetNeighbour ends SetNeighbour.
func (s *Station) ForgetNeighbour(addrs ...netip.Addr) error {
	var del commands
	for _, addr := range addrs {
		del.add("neigh del %s dev eth0", addr)
	}
	return s.ns.ip(del)
}

// FlushNeighbours forgets all that the station learned of who owns an address,
// once. What it is just asking for it goes on to ask for: the kernel would throw
// away what waits for the answer, and say that there is no such host.
func (s *Station) FlushNeighbours() error {
	return s.ns.do(func() error {
		list, err := exec.Command("ip", "-o", "neigh", "show", "dev", "eth0",
			"nud", "reachable", "nud", "stale", "nud", "delay", "nud", "probe").CombinedOutput()
		if err != nil {
			return fmt.Errorf("listing neighbours: %w: %s", err, list)
		}
		var del commands
		for line := range strings.Lines(string(list)) {
			address, _, _ := strings.Cut(line, " ")
			del.add("neigh del %s dev eth0", address)
		}
		err = del.run()
		if err != nil && strings.Contains(err.Error(), "No such file") {
			return nil // one was forgotten meanwhile, by the kernel itself
		}
		return err
	})
}

// KeepFlushing forgets it again and again, until the function that it returns
// is called, which returns the first error.
func (s *Station) KeepFlushing(every time.Duration) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		var first error
		for {
			select {
			case <-tick.C:
				if err := s.FlushNeighbours(); first == nil {
					first = err
				}
			case <-ctx.Done():
				ended <- first
				return
			}
		}
	}()
	return func() error {
		cancel()
		return <-ended
	}
}
