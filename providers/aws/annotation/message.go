package annotation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What is in annotations is anybody's, and ends up in a condition: it is
// quoted, and cut.
const (
	maxValue    = 100
	maxListed   = 10
	maxMessages = 5
)

// quote shows a value of a user.
func quote(value string) string { return strconv.Quote(cut(value)) }

// plain shows a name of a user, quoted only where it has to be.
func plain(name string) string {
	name = cut(name)
	if q := strconv.Quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}

func cut(value string) string {
	count := 0
	for i := range value {
		if count++; count > maxValue {
			return value[:i] + "…"
		}
	}
	return value
}

// some lists the first of many.
func some(list []string) string {
	if more := len(list) - maxListed; more > 0 {
		return strings.Join(list[:maxListed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(list, ", ")
}

// bounded says the first of many, and how many more there are.
func bounded(list []string, say func(string) string) []string {
	var said []string
	for _, element := range list[:min(len(list), maxMessages)] {
		said = append(said, say(element))
	}
	if more := len(list) - maxMessages; more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	return said
}

func same(text string) string { return text }

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// nearest returns the known key that key is most likely meant to be, or "".
// Keys with a suffix are compared without it.
func nearest(key string) string {
	under := prefix
	if strings.HasPrefix(key, ownPrefix) {
		under = ownPrefix
	}
	name, suffix, _ := strings.Cut(strings.TrimPrefix(key, under), ".")
	best, least := "", len(name)/3+1
	for _, candidate := range known {
		if !strings.HasPrefix(candidate, under) {
			continue
		}
		if d := distance(name, candidate[len(under):], least); d < least {
			best, least = candidate, d
		}
	}
	switch {
	case best == KeyListenerAttributes:
		return best + ".PROTOCOL-PORT"
	case best == KeyTargetGroupAttributes && suffix != "":
		return best + ".PORT"
	}
	return best
}

// distance is how many letters have to be put in, taken out or changed to make
// b of a (Levenshtein), or limit if it is not less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
