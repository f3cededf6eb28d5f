package license

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Texts of licenses that stand for whole ones.
const (
	mit  = "Permission is hereby granted, free of charge, to any person\nobtaining a copy ... to deal\nin the Software without restriction"
	bsd2 = "Redistribution and use in source and binary forms, with or without\n// modification, are permitted provided that"
	bsd3 = bsd2 + "... to endorse or promote products derived\n// from this software"
)

func TestRecognize(t *testing.T) {
	apache, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	root, _, err := goIs(t.Context(), ".", os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	golang, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text, want string
	}{
		{"Berth's own", string(apache), "Apache-2.0"},
		{"Go's", string(golang), "BSD-3-Clause"},
		{"broken into lines anywhere", mit, "MIT"},
		{"in a comment", "// " + bsd2, "BSD-2-Clause"},
		{"with the clause about names", bsd3, "BSD-3-Clause"},
		{"with the one about advertising", bsd3 + " All advertising materials mentioning", "BSD-4-Clause"},
		{"without the word or", "Permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted", "ISC"},
		{"with the word or", "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted", "ISC"},
		{"two in one file", mit + "\n\n" + bsd3, "BSD-3-Clause MIT"},
		{"MPL, which names others that it goes with", "Mozilla Public License, version 2.0 ... GNU General Public License", "MPL-2.0"},
		{"a condition on top", string(apache) + "\nCommons Clause License Condition v1.0", "Apache-2.0 Commons-Clause"},
		{"copyleft", "GNU GENERAL PUBLIC LICENSE Version 2", "GPL"},
		{"something else", "Do what you want.", ""},
	} {
		if got := strings.Join(Recognize(c.text), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestProblem(t *testing.T) {
	license := func(names ...string) Text { return Text{Path: "LICENSE", Names: names} }
	for _, c := range []struct {
		name  string
		texts []Text
		want  string
	}{
		{"allowed", []Text{license("MIT")}, ""},
		{"a notice needs no name", []Text{license("Apache-2.0"), {Path: "NOTICE"}}, ""},
		{"none at all", nil, "a/b v1 has no license that is known"},
		{"only a notice", []Text{{Path: "NOTICE"}}, "a/b v1 has no license that is known"},
		{"not allowed", []Text{license("GPL")}, "a/b v1: LICENSE is GPL; allowed are Apache-2.0, BSD-2-Clause, BSD-3-Clause, ISC, MIT"},
		{"one of two is not allowed", []Text{license("GPL", "MIT")}, "a/b v1: LICENSE is GPL; allowed are Apache-2.0, BSD-2-Clause, BSD-3-Clause, ISC, MIT"},
		{"a second one that is not known", []Text{license("MIT"), {Path: "x/COPYING"}}, "a/b v1: x/COPYING is no license that is known"},
	} {
		got := ""
		if err := (Module{Path: "a/b", Version: "v1", Texts: c.texts}).Problem(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCollect(t *testing.T) {
	folder := t.TempDir()
	for path, text := range map[string]string{
		"go.mod":                     "module example.com/program\n\ngo 1.26.0\n",
		"LICENSE":                    mit,
		"NOTICE":                     "Made by us.",
		"license.go":                 "package main\n\nimport _ \"example.com/program/third_party/used\"\n\nfunc main() {}\n",
		"third_party/LICENSE.txt":    bsd3,
		"third_party/used/used.go":   "package used\n",
		"third_party/other/other.go": "package other\n",
		"third_party/other/LICENSE":  "GNU General Public License",
	} {
		path = filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	modules, err := Collect(t.Context(), folder, ".", append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off"))
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) != 2 || modules[0].Path != "example.com/program" || modules[1].Path != Go {
		t.Fatalf("modules %v, want the program's and Go's", modules)
	}
	var paths []string
	for _, text := range modules[0].Texts {
		paths = append(paths, text.Path)
	}
	// The other package is not linked in, and its license does not matter.
	if want := []string{"LICENSE", "NOTICE", "third_party/LICENSE.txt"}; !slices.Equal(paths, want) {
		t.Errorf("texts %q, want %q", paths, want)
	}
	for _, m := range modules {
		if err := m.Problem(); err != nil {
			t.Error(err)
		}
	}
	if modules[1].Version != runtime.Version() {
		t.Errorf("Go is %s, want %s", modules[1].Version, runtime.Version())
	}
}

func TestReport(t *testing.T) {
	shared := Text{Path: "LICENSE", Names: []string{"MIT"}, Body: "the same\r\nwords\n"}
	unixed := Text{Path: "COPYING", Names: shared.Names, Body: "the same\nwords"}
	one, two := Module{Path: "a", Version: "v1", Texts: []Text{shared}}, Module{Path: "b", Version: "v2", Texts: []Text{unixed}}
	// As for two architectures, of which one needs more.
	got := Report(Merge([]Module{one}, []Module{one, two}))
	want := `Berth is linked from these modules, which come with the licenses below.

a  v1  MIT
b  v2  MIT

==============================================================================
a LICENSE
b COPYING
==============================================================================

the same
words
`
	if got != want {
		t.Errorf("the report is\n%s\nwant\n%s", got, want)
	}
}
