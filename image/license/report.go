package license

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Merge joins lists of modules into one.
func Merge(lists ...[]Module) []Module {
	type key struct{ path, version string }
	all := map[key]Module{}
	for _, list := range lists {
		for _, m := range list {
			have := all[key{m.Path, m.Version}]
			have.Path, have.Version = m.Path, m.Version
			for _, t := range m.Texts {
				if !slices.ContainsFunc(have.Texts, func(o Text) bool { return o.Path == t.Path }) {
					have.Texts = append(have.Texts, t)
				}
			}
			all[key{m.Path, m.Version}] = have
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b Module) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Version, b.Version))
	})
}

// Report is for those who get the program: a table of the modules, and every
// text once, under the names of those that it comes from.
func Report(modules []Module) string {
	var out strings.Builder
	fmt.Fprint(&out, "Berth is linked from these modules, which come with the licenses below.\n\n")
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, m := range modules {
		fmt.Fprintf(table, "%s\t%s\t%s\n", m.Path, m.Version, strings.Join(m.Names(), ", "))
	}
	_ = table.Flush() // a Builder takes all

	owners := map[string][]string{}
	var bodies []string
	for _, m := range modules {
		for _, t := range m.Texts {
			body := strings.TrimSpace(strings.ReplaceAll(t.Body, "\r\n", "\n"))
			if owners[body] == nil {
				bodies = append(bodies, body)
			}
			owners[body] = append(owners[body], m.Path+" "+t.Path)
		}
	}
	line := strings.Repeat("=", 78)
	for _, body := range bodies {
		fmt.Fprintf(&out, "\n%s\n%s\n%s\n\n%s\n", line, strings.Join(owners[body], "\n"), line, body)
	}
	return out.String()
}
