package announce

import "slices"

// Merge is the decision about one address that several Services share, from
// those about each of them. It is the same everywhere if they come in the same
// order, for instance sorted by Service.
//
// The candidates are those that all Services with any candidate agree on, in
// the order of the first such Service; where they agree on none, those of the
// first, since half of the Services served is better than none. A Service
// without candidates does not count: its traffic is lost on every node.
//
// The interfaces are all that any of the Services with candidates may use: the
// address is answered for as a whole.
func Merge(decisions []Layer2) Layer2 {
	if len(decisions) == 0 {
		return Layer2{}
	}
	var announced []Layer2
	for _, d := range decisions {
		if len(d.Candidates) > 0 {
			announced = append(announced, d)
		}
	}
	if len(announced) == 0 {
		return decisions[0]
	}
	merged := announced[0]
	if len(announced) == 1 {
		return merged
	}
	if agreed := agreedOn(announced); len(agreed) > 0 {
		merged.Candidates = agreed
	}
	var lists [][]string
	for _, d := range announced {
		lists = append(lists, d.Interfaces)
	}
	merged.Interfaces = union(lists)
	return merged
}

// agreedOn returns the candidates of the first decision that all the others
// have too.
func agreedOn(decisions []Layer2) []string {
	count := map[string]int{}
	for _, d := range decisions {
		for _, name := range d.Candidates {
			count[name]++
		}
	}
	return slices.DeleteFunc(slices.Clone(decisions[0].Candidates), func(name string) bool {
		return count[name] < len(decisions)
	})
}
