//go:build linux

package lab_test

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
)

// reaches fails the test unless a station hears the answer of another, once and
// of no third, in both families, or in none if that is what is wanted.
func reaches(t *testing.T, what string, from, to *lab.Station, want bool) {
	t.Helper()
	answers := 0
	if want {
		answers = 1
	}
	for _, addr := range []netip.Addr{to.IPv4, to.IPv6} {
		late := time.Now().Add(lab.Patience)
		seen, err := from.WhoHas(addr, 100*time.Millisecond)
		for err == nil && want && len(seen) != 1 && time.Now().Before(late) {
			seen, err = from.WhoHas(addr, 100*time.Millisecond)
		}
		if err != nil || len(seen) != answers {
			t.Errorf("%s: %s asks for %s of %s and hears %v, %v", what, from.Name, addr, to.Name, seen, err)
		}
		for _, answer := range seen {
			if answer.MAC.String() != to.MAC.String() {
				t.Errorf("%s: %s has %s, says the segment; it is that of %s", what, answer.MAC, addr, to.Name)
			}
		}
	}
}

func TestSegment(t *testing.T) {
	began := time.Now()
	l := lab.New(t, lab.Options{Nodes: 3, Clients: 2})
	t.Logf("three nodes and two clients took %s", time.Since(began))
	stations := map[string]*lab.Station{}
	for _, n := range l.Nodes {
		stations[n.Name] = &n.Station
	}
	for _, c := range l.Clients {
		stations[c.Name] = &c.Station
	}
	one, two, three := l.Nodes[0], l.Nodes[1], l.Nodes[2]
	left, right := l.Clients[0], l.Clients[1]
	for _, step := range []struct {
		what string
		do   func() error
		// severed are the pairs that don't reach each other.
		severed string
	}{
		{"at first, all reach all", func() error { return nil }, ""},
		{"a partition is between two only", func() error { return l.Partition(one, two) }, "node1-node2"},
		{"a second one adds to it", func() error { return l.Partition(one, left) }, "node1-node2 node1-client1"},
		{"healing ends both", l.Heal, ""},
		{"a split has two sides", func() error {
			return l.Split([]lab.Stationed{one, left}, []lab.Stationed{two, three, right})
		}, "node1-node2 node1-node3 node1-client2 node2-client1 node3-client1 client1-client2"},
		{"healing ends that", l.Heal, ""},
		{"who is unplugged reaches nobody", func() error { return l.Unplug(three) },
			"node1-node3 node2-node3 node3-client1 node3-client2"},
		{"and is back once plugged", func() error { return l.Plug(three) }, ""},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		var asking sync.WaitGroup
		for _, pair := range []string{
			"node1-node2", "node1-node3", "node2-node3", "client1-client2",
			"node1-client1", "node2-client1", "node3-client1", "node1-client2", "node2-client2", "node3-client2",
		} {
			from, to, _ := strings.Cut(pair, "-")
			want := !strings.Contains(" "+step.severed+" ", " "+pair+" ")
			asking.Go(func() { reaches(t, step.what, stations[from], stations[to], want) })
		}
		asking.Wait()
	}
}

func TestSniffer(t *testing.T) {
	l := lab.New(t, lab.Options{Nodes: 2})
	client := l.Clients[0]
	sniffer, err := client.Sniff()
	if err != nil {
		t.Fatal(err)
	}
	defer sniffer.Close()
	n := l.Nodes[0]
	announceItself(t, n)
	for _, addr := range []netip.Addr{n.IPv4, n.IPv6} {
		awaitGratuitous(t, sniffer, addr)
		if got := l.StationOf(sniffer.Gratuitous(addr)[0].MAC); got != n.Name {
			t.Errorf("%s announced %s, say the frames", got, addr)
		}
	}
	if seen := sniffer.Gratuitous(l.Nodes[1].IPv4); len(seen) > 0 {
		t.Errorf("node2 announced itself: %v", seen)
	}
}

// A client that is made to forget its neighbours asks for them again.
func TestFlushNeighbours(t *testing.T) {
	l := lab.New(t, lab.Options{Nodes: 1})
	client, n := l.Clients[0], l.Nodes[0]
	vip := netip.MustParseAddr("172.30.0.200")
	if err := client.SetNeighbour(n.MAC, vip, n.IPv4); err != nil {
		t.Fatal(err)
	}
	if err := client.ForgetNeighbour(vip, n.IPv4); err != nil {
		t.Fatal(err)
	}
	sniffer, err := n.Sniff()
	if err != nil {
		t.Fatal(err)
	}
	defer sniffer.Close()
	stop := client.KeepFlushing(5 * time.Millisecond)
	probes, err := client.Probe(lab.ProbeOptions{}, netip.AddrPortFrom(n.IPv4, lab.EchoPort))
	if err != nil {
		t.Fatal(err)
	}
	over := time.After(lab.Patience)
	for asked := 0; asked < 5; {
		seen, more := sniffer.Seen()
		asked = len(seen)
		select {
		case <-more:
		case <-over:
			t.Fatalf("the client asked %d times who has %s", asked, n.IPv4)
		}
	}
	probes.Stop()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// announceItself has a node's kernel send gratuitous frames, as it does where
// it is told to and its MAC is set, be it to what it was.
func announceItself(t *testing.T, n *lab.Node) {
	t.Helper()
	const script = "echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_notify && " +
		"echo 1 > /proc/sys/net/ipv6/conf/eth0/ndisc_notify && ip link set dev eth0 address $1"
	p, err := n.Run("sh", "-c", script, "sh", n.MAC.String())
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(lab.Patience):
		t.Fatal("setting a MAC does not end")
	}
	if said := p.Tail(3); said != "" {
		t.Fatalf("having %s announce itself: %s", n.Name, said)
	}
}

func awaitGratuitous(t *testing.T, sniffer *lab.Sniffer, addr netip.Addr) {
	t.Helper()
	over := time.After(lab.Patience)
	for {
		_, more := sniffer.Seen()
		if len(sniffer.Gratuitous(addr)) > 0 {
			return
		}
		select {
		case <-more:
		case <-over:
			t.Fatalf("no gratuitous frame of %s was seen", addr)
		}
	}
}

func TestProgram(t *testing.T) {
	l := lab.New(t, lab.Options{Nodes: 1})
	p, err := l.Nodes[0].Run("sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	first := p.PID()
	p.Pause()
	p.Kill() // a paused one can be killed
	if p.Running() {
		t.Error("it runs after it was killed")
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil { // the second time, it runs
		t.Fatal(err)
	}
	if p.PID() == first || !p.Running() {
		t.Error("it was not started again")
	}
	p.Pause()
	p.Resume()
	if err := p.Stop(t.Context()); err == nil {
		t.Error("sleep ended by SIGTERM has status 0")
	}
}

// What a lab leaves when its process is killed, the next one removes.
func TestLeftovers(t *testing.T) {
	const play = "BERTH_LAB_TEST_KILLED"
	if os.Getenv(play) != "" {
		if _, err := lab.Start(t.Context(), lab.Options{Nodes: 1}); err != nil {
			t.Fatal(err)
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		t.Fatal(err)
	}
	lab.New(t, lab.Options{}).Stop() // skips where no lab can run
	victim := exec.Command(os.Args[0], "-test.run=^TestLeftovers$")
	victim.Env = append(os.Environ(), play+"=1", "TMPDIR="+t.TempDir())
	if err := victim.Run(); err == nil {
		t.Fatal("it was not killed")
	}
	of := func() []string { return namespaces(t, victim.Process.Pid) }
	if len(of()) != 3 {
		t.Errorf("it left %v, want a switch, a node and a client", of())
	}
	l, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop()
	if left := of(); len(left) > 0 {
		t.Errorf("%v is still there", left)
	}
	l.Stop()
	if left := namespaces(t, os.Getpid()); len(left) > 0 {
		t.Errorf("%v is there after the stop", left)
	}
}

func namespaces(t *testing.T, pid int) []string {
	t.Helper()
	names, err := filepath.Glob("/run/netns/berth-lab-" + strconv.Itoa(pid) + "-*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}
