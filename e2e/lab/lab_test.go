//go:build linux

package lab_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
)

func TestMain(m *testing.M) {
	lab.Main()
	log.SetLogger(logr.Discard()) // else controller-runtime complains of having none
	os.Exit(m.Run())
}

// Addresses of the Service under test, from the pool.
var (
	vip4 = netip.MustParseAddr("172.30.0.200")
	vip6 = netip.MustParseAddr("fd00:30::200")
)

// site is a lab with a Service whose two pods are on node1 and node2.
type site struct {
	*lab.Lab
	t    *testing.T
	api  client.Client
	pods []*lab.Pod
}

func newSite(t *testing.T) *site {
	t.Helper()
	lab.New(t, lab.Options{}).Stop() // skips where no lab can run
	c := cluster.New(t, cluster.Options{ControllerManager: true})
	began := time.Now()
	s := &site{Lab: lab.New(t, lab.Options{Cluster: c}), t: t}
	t.Logf("three nodes and a client, with kube-proxy, took %s", time.Since(began))
	var err error
	if s.api, err = c.Client(); err != nil {
		t.Fatal(err)
	}
	for i, n := range s.Nodes[:2] {
		pod, err := n.StartPod(t.Context(), "default", fmt.Sprint("web", i+1), "web")
		if err != nil {
			t.Fatal(err)
		}
		s.pods = append(s.pods, pod)
	}
	return s
}

// serve makes a Service of the pods have the addresses.
func (s *site) serve(name string, policy corev1.ServiceExternalTrafficPolicy, addrs ...netip.Addr) *corev1.Service {
	s.t.Helper()
	svc := lab.NewService("default", name, "web")
	svc.Spec.ExternalTrafficPolicy = policy
	if err := s.api.Create(s.t.Context(), svc); err != nil {
		s.t.Fatal(err)
	}
	if err := lab.GiveAddresses(s.t.Context(), s.api, svc, addrs...); err != nil {
		s.t.Fatal(err)
	}
	return svc
}

// own has the client believe that the node owns the addresses.
func (s *site) own(n *lab.Node, addrs ...netip.Addr) {
	s.t.Helper()
	if err := s.Clients[0].SetNeighbour(n.MAC, addrs...); err != nil {
		s.t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, is func(ctx context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, lab.Patience, true,
		func(ctx context.Context) (bool, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return is(ctx), nil
		})
	if err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}

func url(addr netip.Addr) string {
	return "http://" + netip.AddrPortFrom(addr, lab.HTTPPort).String() + "/"
}

// answering are the pods that answer HTTP at an address within some requests.
func (s *site) answering(ctx context.Context, addr netip.Addr) []string {
	pods := map[string]bool{}
	for range 12 {
		if status, body, err := s.Clients[0].Get(ctx, url(addr)); err == nil && status == http.StatusOK {
			pods[strings.TrimSpace(body)] = true
		}
	}
	return slices.Sorted(maps.Keys(pods))
}

func (s *site) answeringEventually(addr netip.Addr, pods ...string) {
	s.t.Helper()
	var last []string
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%v answered at %s last", last, addr)
		}
	}()
	eventually(s.t, fmt.Sprintf("%v answer at %s", pods, addr), func(ctx context.Context) bool {
		last = s.answering(ctx, addr)
		return slices.Equal(last, pods)
	})
}

// One cluster serves all of this; each part leaves it as it was.
func TestNodes(t *testing.T) {
	s := newSite(t)
	s.serve("web", corev1.ServiceExternalTrafficPolicyCluster, vip4, vip6)
	s.own(s.Nodes[2], vip4, vip6)
	for _, part := range []struct {
		name string
		test func(*testing.T, *site)
	}{
		{"a Service reaches pods on two nodes", servesBothFamilies},
		{"a gap is as long as the link was down", measuresGaps},
		{"a node without power says nothing until it is back", losesPower},
		{"a node that can't hear the API server keeps its rules", losesAPI},
		{"traffic policy Local keeps the client's address and has a health check", servesLocally},
		{"pods come and go", changesPods},
	} {
		t.Run(part.name, func(t *testing.T) {
			s.t = t
			part.test(t, s)
		})
	}
}

func servesBothFamilies(t *testing.T, s *site) {
	client := s.Clients[0]
	for _, vip := range []netip.Addr{vip4, vip6} {
		s.answeringEventually(vip, "web1", "web2")
		echo := netip.AddrPortFrom(vip, lab.EchoPort)
		talk, err := client.Converse(t.Context(), echo, 5*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		probes, err := client.Probe(lab.ProbeOptions{Ports: 16}, echo)
		if err != nil {
			t.Fatal(err)
		}
		pages := client.Request(url(vip), 5*time.Millisecond, 5*time.Second)
		eventually(t, "a hundred of each are answered", func(context.Context) bool {
			return talk.Progress().Answered > 100 && probes.Progress(0).Answered > 100 && pages.Progress().Answered > 100
		})
		if trace := pages.Stop(); trace.Lost() > 0 || len(trace.Pods()) != 2 {
			t.Errorf("pages of %s: %s", vip, trace)
		}
		lines, err := talk.Stop()
		if err != nil || lines.Lost() > 0 || lines.Pods()[talk.Pod] != lines.Sent() {
			t.Errorf("lines to %s: %v, %v", vip, lines, err)
		}
		datagrams := probes.Stop()[0]
		if datagrams.Lost() > 0 || len(datagrams.Pods()) != 2 {
			t.Errorf("datagrams to %s: %s", vip, datagrams)
		}
		t.Logf("%s: lines: %s", vip, lines)
		t.Logf("%s: datagrams: %s", vip, datagrams)
	}
}

func measuresGaps(t *testing.T, s *site) {
	const (
		down = time.Second
		// slack is what the machine may take to do, and to tell, what was asked for.
		slack = 500 * time.Millisecond
	)
	// The last of them is at another node, and tells what else the machine does.
	elsewhere := netip.MustParseAddr("172.30.0.203")
	svc := s.serve("elsewhere", corev1.ServiceExternalTrafficPolicyCluster, elsewhere)
	s.own(s.Nodes[0], elsewhere)
	s.answeringEventually(elsewhere, "web1", "web2")
	s.answeringEventually(vip4, "web1", "web2")
	probes, err := s.Clients[0].Probe(lab.ProbeOptions{},
		netip.AddrPortFrom(vip4, lab.EchoPort), netip.AddrPortFrom(vip6, lab.EchoPort), netip.AddrPortFrom(elsewhere, lab.EchoPort))
	if err != nil {
		t.Fatal(err)
	}
	answered := func(n int) func(context.Context) bool {
		return func(context.Context) bool {
			return probes.Progress(0).Answered > n && probes.Progress(1).Answered > n && probes.Progress(2).Answered > n
		}
	}
	eventually(t, "probes are answered", answered(20))
	began := time.Now()
	if err := s.Unplug(s.Nodes[2]); err != nil {
		t.Fatal(err)
	}
	unplugged := time.Now()
	time.Sleep(down)
	plugged := time.Now()
	if err := s.Plug(s.Nodes[2]); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	eventually(t, "probes are answered again", func(ctx context.Context) bool {
		return answered(100)(ctx) && probes.Progress(0).Silence < 20*time.Millisecond
	})
	traces := probes.Stop()
	control := traces[2].Gap()
	for _, trace := range traces[:2] {
		t.Log(trace)
		if gap := trace.Gap(); gap < down-slack || gap > took+control+slack {
			t.Errorf("the link was down for %s to %s, and the gap is %s; that of another node is %s", down, took, gap, control)
		}
		least := asked(trace, unplugged, plugged.Add(-slack))
		most := asked(trace, began.Add(-slack), began.Add(took+slack))
		if lost := trace.Lost(); lost == 0 || lost < least || lost > most {
			t.Errorf("%d probes were lost, want %d to %d", lost, least, most)
		}
	}
	if err := s.api.Delete(t.Context(), svc); err != nil {
		t.Fatal(err)
	}
}

// asked is how many questions were sent between two times.
func asked(trace lab.Trace, from, to time.Time) (n int) {
	for _, q := range trace.Questions {
		if at := trace.Began.Add(q.Sent); !at.Before(from) && !at.After(to) {
			n++
		}
	}
	return n
}

func losesPower(t *testing.T, s *site) {
	n := s.Nodes[2]
	// A daemon that leaves its group and its parent is of the node all the same.
	program, err := n.Run("sh", "-c", "setsid sleep 1000 & wait")
	if err != nil {
		t.Fatal(err)
	}
	probes, err := s.Clients[0].Probe(lab.ProbeOptions{Ports: 16}, netip.AddrPortFrom(vip4, lab.EchoPort))
	if err != nil {
		t.Fatal(err)
	}
	defer probes.Stop()
	answers := func(context.Context) bool { return probes.Progress(0).Silence < 20*time.Millisecond }
	eventually(t, "probes are answered", answers)
	pid, proxy := program.PID(), n.KubeProxy().PID()
	began := time.Now()
	if err := s.CutPower(n); err != nil {
		t.Fatal(err)
	}
	t.Logf("the cut took %s", time.Since(began))
	if program.Running() || n.KubeProxy().Running() {
		t.Error("a process survived")
	}
	if left := processesIn(t, n.Netns()); len(left) > 0 {
		t.Errorf("processes %v survived", left)
	}
	eventually(t, "answers have stopped", func(context.Context) bool {
		return probes.Progress(0).Silence > 200*time.Millisecond
	})
	if s.CutPower(n) == nil {
		t.Error("the power was cut twice")
	}
	if _, err := n.Run("true"); err == nil {
		t.Error("a program ran without power")
	}
	if _, err := n.StartPod(t.Context(), "default", "web3", "web"); err == nil {
		t.Error("a pod started without power")
	}
	began = time.Now()
	if err := s.RestorePower(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Logf("being back took %s", time.Since(began))
	eventually(t, "probes are answered again", answers)
	if !program.Running() || program.PID() == pid || n.KubeProxy().PID() == proxy {
		t.Error("programs were not started again")
	}
	if err := program.Stop(t.Context()); err == nil {
		t.Error("sh ended by SIGTERM has status 0")
	}
}

// processesIn are the processes in a network namespace.
func processesIn(t *testing.T, path string) []string {
	t.Helper()
	want, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	spaces, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, space := range spaces {
		if got, err := os.Stat(space); err == nil && os.SameFile(got, want) {
			pids = append(pids, space)
		}
	}
	return pids
}

func losesAPI(t *testing.T, s *site) {
	deaf, hearing := s.Nodes[2], s.Nodes[1]
	second := netip.MustParseAddr("172.30.0.201")
	deaf.CutAPI()
	svc := s.serve("second", corev1.ServiceExternalTrafficPolicyCluster, second)
	s.own(hearing, second)
	s.answeringEventually(second, "web1", "web2")
	s.own(deaf, second)
	s.answeringEventually(vip4, "web1", "web2") // which the node knew before
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if status, _, err := s.Clients[0].Get(ctx, url(second)); err == nil {
		t.Errorf("a Service that the node can't have heard of answers %d", status)
	}
	deaf.RestoreAPI()
	s.answeringEventually(second, "web1", "web2")
	if err := s.api.Delete(t.Context(), svc); err != nil {
		t.Fatal(err)
	}
}

func servesLocally(t *testing.T, s *site) {
	local := netip.MustParseAddr("172.30.0.202")
	svc := s.serve("local", corev1.ServiceExternalTrafficPolicyLocal, local)
	s.own(s.Nodes[0], local)
	s.answeringEventually(local, "web1")
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusServiceUnavailable} {
		n := s.Nodes[i]
		check := fmt.Sprintf("http://%s:%d/healthz", n.IPv4, svc.Spec.HealthCheckNodePort)
		eventually(t, fmt.Sprintf("%s of %s answers %d", check, n.Name, want), func(ctx context.Context) bool {
			status, _, err := n.Get(ctx, check)
			return err == nil && status == want
		})
	}
	from, err := s.Clients[0].SeenAs(t.Context(), url(local))
	if err != nil || from != s.Clients[0].IPv4 {
		t.Errorf("the pod saw the client as %s (%v), want %s", from, err, s.Clients[0].IPv4)
	}
	if err := s.api.Delete(t.Context(), svc); err != nil {
		t.Fatal(err)
	}
}

func changesPods(t *testing.T, s *site) {
	ctx := t.Context()
	one, two := s.pods[0], s.pods[1]
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(one.Unready(ctx))
	s.answeringEventually(vip4, "web2")
	do(one.Ready(ctx))
	s.answeringEventually(vip4, "web1", "web2")
	do(two.Terminate(ctx, time.Minute))
	s.answeringEventually(vip4, "web1")
	do(one.Delete(ctx))
	s.answeringEventually(vip4, "web2") // serving and terminating
	do(two.Delete(ctx))
	s.answeringEventually(vip4)
	three, err := s.Nodes[2].StartPod(ctx, "default", "web3", "web")
	do(err)
	s.answeringEventually(vip6, "web3")
	do(s.Nodes[2].MarkUnreachable(ctx))
	s.answeringEventually(vip6)
	do(s.Nodes[2].MarkReady(ctx))
	s.answeringEventually(vip6, "web3")
	do(three.Delete(ctx))
}
