package apiproxy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Call is what is counted: a verb on a kind of resource.
type Call struct{ Verb, Resource string }

func (c Call) String() string { return c.Verb + " " + c.Resource }

// Counts are how often each Call was made.
type Counts map[Call]int

// Total adds up all calls.
func (c Counts) Total() int {
	total := 0
	for _, n := range c {
		total += n
	}
	return total
}

// Writes are the calls that change something, on other resources than those
// of except: leases, say, which are renewed at all times.
func (c Counts) Writes(except ...string) Counts {
	writes := Counts{}
	for call, n := range c {
		if (Request{Verb: call.Verb}).Write() && !slices.Contains(except, call.Resource) {
			writes[call] = n
		}
	}
	return writes
}

// String lists the calls by name: "2 get services, 1 patch services/status".
func (c Counts) String() string {
	byName := func(a, b Call) int { return strings.Compare(a.String(), b.String()) }
	var lines []string
	for _, call := range slices.SortedFunc(maps.Keys(c), byName) {
		lines = append(lines, fmt.Sprintf("%d %s", c[call], call))
	}
	return strings.Join(lines, ", ")
}
