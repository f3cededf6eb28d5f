// Package apiproxy stands between one client and the API server: it counts
// what the client asks for, and makes the API server as slow, as unwilling or
// as absent as a test needs it, for that client alone.
package apiproxy

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/berth-lb/berth/e2e/access"
)

// Proxy is an HTTPS server on loopback that passes requests on.
type Proxy struct {
	config  *rest.Config // of the client
	cert    tls.Certificate
	addr    string
	forward http.Handler

	mu     sync.Mutex
	server *http.Server // nil while cut off
	counts Counts
	faults []Fault
	dice   *mathrand.Rand
}

// Start passes on to the API server of upstream, with the access that it
// gives.
func Start(upstream *rest.Config) (*Proxy, error) {
	p, ln, err := prepare(upstream)
	if err != nil {
		return nil, fmt.Errorf("starting a proxy before %s: %w", upstream.Host, err)
	}
	p.serve(ln)
	return p, nil
}

func prepare(upstream *rest.Config) (*Proxy, net.Listener, error) {
	forward, err := forwarder(upstream)
	if err != nil {
		return nil, nil, err
	}
	ca, err := access.NewCA("berth-apiproxy")
	if err != nil {
		return nil, nil, err
	}
	pair, err := ca.Serving("127.0.0.1")
	if err != nil {
		return nil, nil, err
	}
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, nil, err
	}
	ln, err := access.Listen()
	if err != nil {
		return nil, nil, err
	}
	p := &Proxy{
		cert:    cert,
		addr:    ln.Addr().String(),
		forward: forward,
		counts:  Counts{},
		// The same faults at every run.
		dice: mathrand.New(mathrand.NewPCG(1, 2)),
	}
	p.config = &rest.Config{
		Host:            "https://" + p.addr,
		BearerToken:     rand.Text(),
		TLSClientConfig: rest.TLSClientConfig{CAData: ca.PEM},
		QPS:             -1,
	}
	return p, ln, nil
}

func forwarder(upstream *rest.Config) (http.Handler, error) {
	target, err := url.Parse(upstream.Host)
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(upstream)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Transport: transport,
		// A watch shows each event at once.
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			// The client's token is for the proxy alone.
			r.Out.Header.Del("Authorization")
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}, nil
}

// Config gives a client access by way of the proxy, without a limit on the
// client's side.
func (p *Proxy) Config() *rest.Config { return rest.CopyConfig(p.config) }

// WriteKubeconfig writes a file that gives a client access by way of the
// proxy.
func (p *Proxy) WriteKubeconfig(path string) error {
	return access.WriteKubeconfig(path, p.config)
}

// Close ends the proxy and all connections.
func (p *Proxy) Close() { p.Cut() }

// Cut ends all connections and refuses new ones.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		_ = p.server.Close()
		p.server = nil
	}
}

// Restore ends a Cut: the proxy answers on the same port again.
func (p *Proxy) Restore() error {
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		return fmt.Errorf("restoring a proxy: %w", err)
	}
	p.serve(ln)
	return nil
}

func (p *Proxy) serve(ln net.Listener) {
	server := &http.Server{
		Handler:   p,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{p.cert}, MinVersion: tls.VersionTLS12},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	p.mu.Lock()
	p.server = server
	p.mu.Unlock()
	go func() {
		if err := server.ServeTLS(ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // nothing but Close ends it
		}
	}()
}

// SetFaults replaces the faults that happen from now on: a request meets all
// that concern it, in order, up to the first that answers it.
func (p *Proxy) SetFaults(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = faults
}

// Counts are the requests so far, refused ones among them.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Reset returns the requests so far and counts anew.
func (p *Proxy) Reset() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := p.counts
	p.counts = Counts{}
	return counts
}

// ServeHTTP passes a request on, unless a fault is in its way.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+p.config.BearerToken {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	req := parse(r)
	for _, fault := range p.meets(req) {
		if !held(r, fault.Latency) {
			return
		}
		if fault.Status != 0 {
			fault.answer(w, req)
			return
		}
	}
	p.forward.ServeHTTP(w, r)
}

// meets counts the request and returns the faults that happen to it.
func (p *Proxy) meets(req Request) []Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[Call{req.Verb, req.Resource}]++
	var met []Fault
	for _, fault := range p.faults {
		if fault.concerns(req) && (fault.Rate == 0 || p.dice.Float64() < fault.Rate) {
			met = append(met, fault)
		}
	}
	return met
}

// held waits, and says whether the client still does.
func held(r *http.Request, latency time.Duration) bool {
	if latency <= 0 {
		return true
	}
	select {
	case <-time.After(latency):
		return true
	case <-r.Context().Done():
		return false
	}
}
