package license

import (
	"slices"
	"strings"
	"unicode"
)

// Allowed are the licenses that Berth is given out with, by their names in SPDX.
// Each asks for no more than that its text comes along.
var Allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// marks are words that a text has if, and only if, it is that license. A text
// may have those of several.
var marks = []struct {
	name      string
	has, lack []string
}{
	{"Apache-2.0", []string{"apache license", "version 2 0"}, nil},
	{"MIT", []string{
		"permission is hereby granted free of charge to any person obtaining a copy",
		"to deal in the software without restriction",
	}, nil},
	{"BSD-3-Clause", []string{bsd, "to endorse or promote products derived from this software"}, []string{"all advertising materials"}},
	{"BSD-2-Clause", []string{bsd}, []string{"to endorse or promote products", "all advertising materials"}},
	// Also that of OpenSSL: advertisements have to name the authors.
	{"BSD-4-Clause", []string{"redistribution and use in source and binary forms", "all advertising materials"}, nil},
	{"ISC", []string{"distribute this software for any purpose with or without fee is hereby granted"}, nil},
	{"MPL-2.0", []string{"mozilla public license", "version 2 0"}, nil},
	{"GPL", []string{"gnu general public license"}, []string{"mozilla public license"}},
	{"LGPL", []string{"gnu lesser general public license"}, []string{"mozilla public license"}},
	{"AGPL", []string{"gnu affero general public license"}, []string{"mozilla public license"}},
	{"SSPL", []string{"server side public license"}, nil},
	{"BUSL", []string{"business source license"}, nil},
	{"Commons-Clause", []string{"commons clause"}, nil},
	{"CC", []string{"creative commons"}, nil},
}

const bsd = "redistribution and use in source and binary forms with or without modification are permitted"

// Recognize names the licenses that a text consists of; none if it is not known.
func Recognize(text string) []string {
	words := normal(text)
	var names []string
	for _, m := range marks {
		contains := func(mark string) bool { return strings.Contains(words, mark) }
		if !slices.ContainsFunc(m.lack, contains) && !slices.ContainsFunc(m.has, func(mark string) bool { return !contains(mark) }) {
			names = append(names, m.name)
		}
	}
	slices.Sort(names)
	return names
}

// normal is the text's words in lower case with one space between each.
func normal(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), " ")
}
