package speaker

import (
	"fmt"
	"testing"
)

func TestRank(t *testing.T) {
	peers := []peer{{name: "a"}, {name: "b"}, {name: "c", down: true}, {name: "d"}}
	place := func(self, recorded string) int {
		p, _ := rank(self, "l2-1-ipv4", recorded, peers)
		return p
	}
	if p := place("b", "b"); p != 0 {
		t.Errorf("the node on record comes in place %d", p)
	}
	if p := place("c", "c"); p != 3 {
		t.Errorf("a node that is down comes in place %d, on record or not", p)
	}
	if _, ok := rank("x", "l2-1-ipv4", "", peers); ok {
		t.Error("a node that is no speaker writes")
	}
	seen := map[int]bool{}
	for _, p := range peers {
		seen[place(p.name, "")] = true
	}
	if len(seen) != len(peers) {
		t.Errorf("two have one place: %v", seen)
	}
}

func TestRanksSpreadTheWork(t *testing.T) {
	var peers []peer
	for i := range 20 {
		peers = append(peers, peer{name: fmt.Sprintf("node-%d", i)})
	}
	first, taking := map[string]int{}, 0
	for i := range 2000 {
		for _, p := range peers {
			place, ok := rank(p.name, fmt.Sprintf("l2-%d-ipv4", i), "", peers)
			if ok {
				taking++
			}
			if place == 0 {
				first[p.name]++
			}
		}
	}
	for name, n := range first {
		if n < 60 || n > 150 {
			t.Errorf("%s comes first for %d of 2000 records", name, n)
		}
	}
	if taking != 2000*writers {
		t.Errorf("%d take part in 2000 records", taking)
	}
}
