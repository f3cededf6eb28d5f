package fakeaws

import (
	"regexp"
	"slices"
	"strings"

	ec2 "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

const ec2Page = 1000

// filters are what a list can be filtered by, besides tags.
type filters[T any] map[string]func(T) []string

// list is what the lists of EC2 have in common.
type list[T any] struct {
	// all are the elements by ID; an ID begins with prefix, and notFound and
	// malformed are the codes for one that does not exist or does not.
	all                         map[string]T
	prefix, notFound, malformed string
	id                          func(T) string
	tags                        func(T) map[string]string
	filters                     filters[T]
}

// asked is what a call says about a list.
type asked struct {
	ids       []string
	filters   []ec2.Filter
	max       *int32
	nextToken *string
	dryRun    *bool
}

// describe returns the page that is asked for, sorted by ID. It is stricter than
// AWS in that no list takes IDs together with a number of results.
func describe[T any](c *Cloud, l list[T], a asked) ([]T, *string, error) {
	switch {
	case a.dryRun != nil && *a.dryRun:
		return nil, nil, dryRun
	case a.max != nil && len(a.ids) > 0:
		return nil, nil, refuse("InvalidParameterCombination", "The parameter MaxResults cannot be used together with IDs")
	case a.max != nil && (*a.max < 5 || *a.max > ec2Page):
		return nil, nil, badValue("Value ( %d ) for parameter maxResults is invalid. Expecting a value between 5 and %d.", *a.max, ec2Page)
	}
	found, err := l.byID(a.ids)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range a.filters {
		if found, err = l.filter(found, f); err != nil {
			return nil, nil, err
		}
	}
	page, next, ok := pageOf(c, found, l.id, a.nextToken, a.max, ec2Page)
	if !ok {
		return nil, nil, badValue("Unable to parse pagination token")
	}
	return page, next, nil
}

var dryRun = refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")

func (l list[T]) byID(ids []string) ([]T, error) {
	if len(ids) == 0 {
		found := make([]T, 0, len(l.all))
		for _, id := range sortedKeys(l.all) {
			found = append(found, l.all[id])
		}
		return found, nil
	}
	var found []T
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		t, err := l.one(id)
		if err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, nil
}

func (l list[T]) one(id string) (T, error) {
	t, ok := l.all[id]
	switch {
	case !strings.HasPrefix(id, l.prefix):
		return t, refuse(l.malformed, "Invalid id: \"%s\" (expecting \"%s...\")", id, l.prefix)
	case !ok:
		return t, refuse(l.notFound, "The ID '%s' does not exist", id)
	}
	return t, nil
}

// filter keeps what has one of the values, in which * and ? stand for anything.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
func (l list[T]) filter(from []T, f ec2.Filter) ([]T, error) {
	name := str(f.Name)
	get, ok := l.filters[name]
	key, tagged := strings.CutPrefix(name, "tag:")
	switch {
	case tagged && l.tags != nil:
		get = func(t T) []string {
			if value, ok := l.tags(t)[key]; ok {
				return []string{value}
			}
			return nil
		}
	case name == "tag-key" && l.tags != nil:
		get = func(t T) []string { return sortedKeys(l.tags(t)) }
	case !ok:
		return nil, badValue("The filter '%s' is invalid", name)
	}
	if len(f.Values) == 0 {
		return nil, badValue("The filter '%s' has no values", name)
	}
	var kept []T
	for _, t := range from {
		if slices.ContainsFunc(get(t), func(has string) bool { return anyLike(f.Values, has) }) {
			kept = append(kept, t)
		}
	}
	return kept, nil
}

func anyLike(patterns []string, s string) bool {
	for _, p := range patterns {
		if p == s {
			return true
		}
		if !strings.ContainsAny(p, "*?") {
			continue
		}
		expression := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(p))
		if match, _ := regexp.MatchString("^(?s:"+expression+")$", s); match { // it is quoted, and can't fail
			return true
		}
	}
	return false
}
