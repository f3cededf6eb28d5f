package announce

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metallb "go.universe.tf/metallb/api/v1beta1"
)

// community is a standard one (RFC 1997) or a large one (RFC 8092).
type community struct {
	large bool
	// parts of a standard community are one 32 bit value, in the first place.
	parts LargeCommunity
}

const allowedCommunities = "a:b, both of 0 to 65535, and large:a:b:c, each of 0 to 4294967295"

// parseCommunity reads "a:b" or "large:a:b:c". Names that routers know, such as
// no-export, are none: they are for aliases to give.
func parseCommunity(s string) (community, bool) {
	fields := strings.Split(s, ":")
	switch {
	case len(fields) == 2:
		a, errA := strconv.ParseUint(fields[0], 10, 16)
		b, errB := strconv.ParseUint(fields[1], 10, 16)
		return community{parts: LargeCommunity{uint32(a)<<16 | uint32(b)}}, errA == nil && errB == nil
	case len(fields) != 4 || fields[0] != "large":
		return community{}, false
	}
	c := community{large: true}
	for i, field := range fields[1:] {
		part, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return community{}, false
		}
		c.parts[i] = uint32(part)
	}
	return c, true
}

// aliases reads what the names in all stand for. Of two with one name the first
// counts, in the order of the objects' names.
func aliases(all []*metallb.Community) (map[string]community, []Problem) {
	known, from := map[string]community{}, map[string]string{}
	var problems []Problem
	for _, object := range sorted(all, func(c *metallb.Community) string { return c.Name }) {
		r := reader{object: "Community " + object.Name}
		for i, alias := range object.Spec.Communities {
			c, ok := parseCommunity(alias.Value)
			first, taken := from[alias.Name]
			switch {
			case !ok:
				r.tell(fmt.Sprintf("spec.communities[%d].value", i), "%q is no community: allowed are %s", alias.Value, allowedCommunities)
			case taken:
				r.tell(fmt.Sprintf("spec.communities[%d].name", i), "%q is a name that Community %q gives already, and that one counts: allowed is one that no other has", alias.Name, first)
			default:
				known[alias.Name], from[alias.Name] = c, object.Name
			}
		}
		problems = append(problems, r.problems...)
	}
	return known, problems
}

// communities adds those of names to a. One that is not known is refused along
// with the advertisement: without it routers might pass on what they should
// keep, or keep what they should pass on.
func (r *reader) communities(names []string, known map[string]community, a *Attributes) {
	for i, name := range names {
		c, ok := known[name]
		if !ok {
			c, ok = parseCommunity(name)
		}
		switch {
		case !ok:
			r.refuse(fmt.Sprintf("spec.communities[%d]", i), "%q is no community: allowed are %s, and names in spec.communities of a Community", name, allowedCommunities)
		case c.large:
			a.LargeCommunities = append(a.LargeCommunities, c.parts)
		default:
			a.Communities = append(a.Communities, c.parts[0])
		}
	}
	a.Communities = sortedSet(a.Communities, cmp.Compare)
	a.LargeCommunities = sortedSet(a.LargeCommunities, compareLarge)
}

func compareLarge(a, b LargeCommunity) int { return slices.Compare(a[:], b[:]) }

// sortedSet sorts all in place and drops what is there twice.
func sortedSet[T comparable](all []T, compare func(a, b T) int) []T {
	slices.SortFunc(all, compare)
	return slices.Compact(all)
}
