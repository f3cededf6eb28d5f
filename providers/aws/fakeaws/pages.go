package fakeaws

import (
	"encoding/base64"
	"slices"
	"strings"
)

// pageOf returns the elements that follow marker, size at most and, where the
// call does not say, most; and the marker of those that remain. The elements are
// sorted by key, so that what comes or goes between two pages does no harm.
func pageOf[T any](c *Cloud, items []T, key func(T) string, marker *string, size *int32, most int) (page []T, next *string, ok bool) {
	slices.SortFunc(items, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	if marker != nil && *marker != "" {
		after, err := base64.RawURLEncoding.DecodeString(*marker)
		if err != nil {
			return nil, nil, false
		}
		items = items[index(items, func(t T) bool { return key(t) > string(after) }):]
	}
	n := most
	if size != nil {
		n = min(n, int(*size))
	}
	if c.options.PageSize > 0 {
		n = min(n, c.options.PageSize)
	}
	if n >= len(items) {
		return items, nil, true
	}
	token := base64.RawURLEncoding.EncodeToString([]byte(key(items[n-1])))
	return items[:n], &token, true
}

func index[T any](items []T, is func(T) bool) int {
	if i := slices.IndexFunc(items, is); i >= 0 {
		return i
	}
	return len(items)
}
