package apiproxy_test

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/berth-lb/berth/e2e/apiproxy"
)

// upstream stands in for an API server.
func upstream(t *testing.T, handler http.HandlerFunc) *rest.Config {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &rest.Config{
		Host:            server.URL,
		BearerToken:     "of-the-proxy",
		TLSClientConfig: rest.TLSClientConfig{CAData: ca},
	}
}

func startProxy(t *testing.T, handler http.HandlerFunc) *apiproxy.Proxy {
	t.Helper()
	proxy, err := apiproxy.Start(upstream(t, handler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return proxy
}

func clientOf(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// aService answers any request for one object or a change of it.
func aService(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/services") {
		fmt.Fprint(w, `{"apiVersion":"v1","kind":"ServiceList","items":[]}`)
		return
	}
	fmt.Fprint(w, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"default"}}`)
}

func TestPassesOnWithItsOwnAccess(t *testing.T) {
	proxy := startProxy(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer of-the-proxy" {
			t.Errorf("the API server was shown %q", got)
		}
		if r.ProtoMajor != 2 {
			t.Errorf("the API server was asked by %s", r.Proto)
		}
		aService(w, r)
	})
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := proxy.WriteKubeconfig(path); err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	svc, err := clientOf(t, cfg).CoreV1().Services("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || svc.Name != "web" {
		t.Errorf("got %q, %v", svc.Name, err)
	}

	stranger := proxy.Config()
	stranger.BearerToken = "guessed"
	if _, err := clientOf(t, stranger).Discovery().ServerVersion(); !apierrors.IsUnauthorized(err) {
		t.Errorf("a stranger got %v", err)
	}
}

func TestCounts(t *testing.T) {
	ctx := t.Context()
	proxy := startProxy(t, aService)
	client := clientOf(t, proxy.Config())
	services := client.CoreV1().Services("default")
	web := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}}

	_, _ = services.Get(ctx, "web", metav1.GetOptions{})
	_, _ = services.List(ctx, metav1.ListOptions{})
	_, _ = services.Create(ctx, web, metav1.CreateOptions{})
	_, _ = services.UpdateStatus(ctx, web, metav1.UpdateOptions{})
	_, _ = services.Patch(ctx, "web", "application/merge-patch+json", []byte("{}"), metav1.PatchOptions{})
	_ = services.Delete(ctx, "web", metav1.DeleteOptions{})
	_, _ = client.CoreV1().Namespaces().Get(ctx, "default", metav1.GetOptions{})
	_ = client.CoordinationV1().Leases("kube-system").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})

	const all = "1 create services, 1 delete services, 1 deletecollection leases, 1 get namespaces, " +
		"1 get services, 1 list services, 1 patch services, 1 update services/status"
	if got := proxy.Counts().String(); got != all {
		t.Errorf("counted\n%s, want\n%s", got, all)
	}
	counts := proxy.Reset()
	if n := counts.Writes("leases").Total(); n != 4 {
		t.Errorf("counted %d writes but of leases, want 4: %s", n, counts.Writes("leases"))
	}
	if n := proxy.Counts().Total(); n != 0 {
		t.Errorf("%d requests are left after a reset", n)
	}
}

// Clients know the answers for what they are.
func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault apiproxy.Fault
		is    func(error) bool
	}{
		"conflict":  {apiproxy.Fault{Status: http.StatusConflict}, apierrors.IsConflict},
		"error":     {apiproxy.Fault{Status: http.StatusInternalServerError}, apierrors.IsInternalError},
		"throttled": {apiproxy.Fault{Status: http.StatusTooManyRequests}, apierrors.IsTooManyRequests},
		"elsewhere": {apiproxy.Fault{Status: http.StatusConflict, Only: apiproxy.On("create", "services")}, func(err error) bool { return err == nil }},
		"reads":     {apiproxy.Fault{Status: http.StatusConflict, Only: apiproxy.Writes}, func(err error) bool { return err == nil }},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := startProxy(t, aService)
			proxy.SetFaults(test.fault)
			_, err := clientOf(t, proxy.Config()).CoreV1().Services("default").Get(t.Context(), "web", metav1.GetOptions{})
			if !test.is(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFaultRetryAfter(t *testing.T) {
	proxy := startProxy(t, aService)
	proxy.SetFaults(apiproxy.Fault{Status: http.StatusTooManyRequests, RetryAfter: 30 * time.Second})
	transport, err := rest.TransportFor(proxy.Config())
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, proxy.Config().Host+"/api/v1/services", nil)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Retry-After"); got != "30" {
		t.Errorf("Retry-After is %q, want 30", got)
	}
}

func TestFaultRate(t *testing.T) {
	proxy := startProxy(t, aService)
	proxy.SetFaults(apiproxy.Fault{Status: http.StatusConflict, Rate: 0.3})
	services := clientOf(t, proxy.Config()).CoreV1().Services("default")
	failed := 0
	for range 200 {
		if _, err := services.Get(t.Context(), "web", metav1.GetOptions{}); err != nil {
			failed++
		}
	}
	if failed < 40 || failed > 80 {
		t.Errorf("%d of 200 requests failed, want about 60", failed)
	}
}

func TestLatency(t *testing.T) {
	proxy := startProxy(t, aService)
	proxy.SetFaults(apiproxy.Fault{Latency: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := clientOf(t, proxy.Config()).CoreV1().Services("default").Get(ctx, "web", metav1.GetOptions{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want to wait in vain", err)
	}
}

// While cut off a client is refused, and afterwards it is served again.
func TestCutAndRestore(t *testing.T) {
	ctx := t.Context()
	proxy := startProxy(t, aService)
	services := clientOf(t, proxy.Config()).CoreV1().Services("default")
	if _, err := services.Get(ctx, "web", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	if _, err := services.Get(ctx, "web", metav1.GetOptions{}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("cut off: %v, want connection refused", err)
	}
	if err := proxy.Restore(); err != nil {
		t.Fatal(err)
	}
	if _, err := services.Get(ctx, "web", metav1.GetOptions{}); err != nil {
		t.Errorf("restored: %v", err)
	}
}

// Each event of a watch comes through at once, and a cut ends the watch.
func TestStreams(t *testing.T) {
	next := make(chan string)
	proxy := startProxy(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		for {
			w.(http.Flusher).Flush()
			select {
			case event := <-next:
				fmt.Fprintln(w, event)
			case <-r.Context().Done():
				return
			}
		}
	})
	transport, err := rest.TransportFor(proxy.Config())
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, proxy.Config().Host+"/api/v1/services?watch=true", nil)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for _, event := range []string{"one", "two"} {
		next <- event
		if line, err := lines.ReadString('\n'); strings.TrimSpace(line) != event {
			t.Fatalf("got %q, %v, want %q", line, err, event)
		}
	}
	if n := proxy.Counts()[apiproxy.Call{Verb: "watch", Resource: "services"}]; n != 1 {
		t.Errorf("counted %d watches, want 1", n)
	}
	proxy.Cut()
	if _, err := lines.ReadString('\n'); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the watch ended with %v, want an error", err)
	}
}
