package announce

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

// TestOrder starts from the order n3, n2, n1 that the scores of 192.0.2.1 give.
func TestOrder(t *testing.T) {
	unknown := condition(corev1.NodeReady, corev1.ConditionUnknown)
	for _, tc := range []struct {
		reason string
		change func(*Config, *Input)
		want   []string
	}{
		{"by score", func(*Config, *Input) {}, []string{"n3", "n2", "n1"}},
		{"ready or not yet known: no difference", nodes(host("n1", condition(corev1.NodeReady, corev1.ConditionTrue)), host("n2"), host("n3")), []string{"n3", "n2", "n1"}},

		{"the owner first", func(_ *Config, in *Input) { in.Owners = owners("192.0.2.1", "n2") }, []string{"n2", "n3", "n1"}},
		{"the owner of another address", func(_ *Config, in *Input) { in.Owners = owners("192.0.2.2", "n2") }, []string{"n3", "n2", "n1"}},
		{"an owner that is gone", func(_ *Config, in *Input) { in.Owners = owners("192.0.2.1", "n0") }, []string{"n3", "n2", "n1"}},
		{"an owner that may not", func(c *Config, in *Input) {
			c.Nodes[1] = host("n2", closed)
			in.Owners = owners("192.0.2.1", "n2")
		}, []string{"n3", "n1"}},
		{"an owner that may not, for this node knows of itself", func(_ *Config, in *Input) {
			in.Health = trafficpolicy.Unhealthy
			in.Owners = owners("192.0.2.1", "n1")
		}, []string{"n3", "n2"}},

		{"believed dead last", nodes(host("n1"), host("n2"), host("n3", unknown)), []string{"n2", "n1", "n3"}},
		{"believed dead and preferred: last", func(c *Config, _ *Input) {
			c.Nodes[2] = host("n3", condition(corev1.NodeReady, corev1.ConditionFalse))
			c.L2Advertisements = []*metallb.L2Advertisement{ad("a", preferring(100, match("name", "n3")))}
		}, []string{"n2", "n1", "n3"}},
		{"believed dead and the owner: first", func(c *Config, in *Input) {
			c.Nodes[1] = host("n2", unknown)
			in.Owners = owners("192.0.2.1", "n2")
		}, []string{"n2", "n3", "n1"}},

		{"those that drain after those that serve", together(isLocalWith("n1", "n2", "n3"), draining("n3")), []string{"n2", "n1", "n3"}},
		{"all of them drain: no difference", together(isLocalWith("n1", "n2", "n3"), draining("n1", "n2", "n3")), []string{"n3", "n2", "n1"}},
		{"Cluster: no matter where pods drain", draining("n3"), []string{"n3", "n2", "n1"}},
		{"an owner that drains serves until its check fails", together(isLocalWith("n1", "n2", "n3"), draining("n3", "n2"), onRecordIs("n3")), []string{"n3", "n1", "n2"}},
		{"the only ready pod is where nothing may be announced", together(isLocalWith("n1", "n2", "n3"), draining("n1", "n3"), func(c *Config, _ *Input) {
			c.L2Advertisements = []*metallb.L2Advertisement{ad("a", onNodes(match("name", "n1"), match("name", "n3")))}
		}), []string{"n3", "n1"}},
		{"the only ready pod is where the node is believed dead", together(isLocalWith("n1", "n2", "n3"), draining("n1", "n3"), func(c *Config, _ *Input) {
			c.Nodes[1] = host("n2", unknown)
		}), []string{"n3", "n1", "n2"}},
		{"preferred and draining", together(isLocalWith("n1", "n2"), draining("n1"), ads(ad("a", preferring(1, match("name", "n1"))))), []string{"n2", "n1"}},

		{"preferred", ads(ad("a", preferring(1, match("name", "n2")))), []string{"n2", "n3", "n1"}},
		{"preferred, but not the owner", func(c *Config, in *Input) {
			c.L2Advertisements = []*metallb.L2Advertisement{ad("a", preferring(1, match("name", "n2")))}
			in.Owners = owners("192.0.2.1", "n1")
		}, []string{"n1", "n2", "n3"}},
		{"the weight of those that match", ads(ad("a",
			preferring(30, match("name", "n1")), preferring(20, match("name", "n2")), preferring(20, match("rack", "b")))), []string{"n1", "n2", "n3"}},
		{"weights of those that match add up", func(c *Config, _ *Input) {
			c.Nodes[1] = host("n2", labelled("rack", "b"))
			c.L2Advertisements = []*metallb.L2Advertisement{ad("a",
				preferring(30, match("name", "n1")), preferring(20, match("name", "n2")), preferring(20, match("rack", "b")))}
		}, []string{"n2", "n1", "n3"}},
		{"of several advertisements the highest sum", ads(
			ad("a", preferring(30, match("name", "n1"))), ad("b", preferring(20, match("name", "n1"))), ad("c", preferring(40, match("name", "n2")))), []string{"n2", "n1", "n3"}},
		{"one for other Services prefers nothing", ads(
			ad("a"), ad("b", forServices(match("app", "db")), preferring(40, match("name", "n2")))), []string{"n3", "n2", "n1"}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c, in := plain()
			tc.change(&c, &in)
			if got := ask(c, in).Candidates; !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func onRecordIs(node string) func(*Config, *Input) {
	return func(_ *Config, in *Input) { in.Owners = owners("192.0.2.1", node) }
}

// TestScore pins values, worked out apart from this code: speakers of two
// versions have to agree.
func TestScore(t *testing.T) {
	for _, tc := range []struct {
		node, address string
		want          uint64
	}{
		{"n1", "192.0.2.1", 0x12318d58f58d0de},
		{"n2", "192.0.2.1", 0x7d0ee6302da8602},
		{"n1", "2001:db8::1", 0x114dd0f1eff56b05},
	} {
		if got := score(hashName(tc.node), netip.MustParseAddr(tc.address)); got != tc.want {
			t.Errorf("%s, %s: got %#x, want %#x", tc.node, tc.address, got, tc.want)
		}
	}
}

// firsts returns for each of count addresses the node that comes first.
func firsts(t *testing.T, names []string, count int) map[string]string {
	t.Helper()
	c, in := plain()
	c.Pools = []*metallb.IPAddressPool{makePool("public", "10.0.0.0/8")}
	c.Nodes = nil
	for _, name := range names {
		c.Nodes = append(c.Nodes, host(name))
	}
	v, _ := Compile(c)
	first := map[string]string{}
	for i := range count {
		address := fmt.Sprintf("10.0.%d.%d", i/256, i%256)
		in.Service = web(cluster, address)
		first[address] = v.Layer2(in)[0].Candidates[0]
	}
	return first
}

func TestSpread(t *testing.T) {
	const count = 1000
	names := []string{"node-1", "node-2", "node-3", "node-4", "node-5"}
	before := firsts(t, names, count)
	share := map[string]int{}
	for _, name := range before {
		share[name]++
	}
	fair := count / len(names)
	for _, name := range names {
		if off := share[name] - fair; off > fair*15/100 || off < -fair*15/100 {
			t.Errorf("%s comes first for %d of %d addresses", name, share[name], count)
		}
	}

	after := firsts(t, names[:4], count)
	moved := 0
	for address, name := range before {
		if name == names[4] {
			moved++
		} else if after[address] != name {
			t.Errorf("%s moved from %s to %s, which have both stayed", address, name, after[address])
		}
	}
	if moved != share[names[4]] {
		t.Errorf("%d moved, %s had %d", moved, names[4], share[names[4]])
	}
}
