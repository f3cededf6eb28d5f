package sbom

import (
	"bytes"
	"flag"
	"os"
	"runtime/debug"
	"testing"

	"github.com/berth-lb/berth/image/compile"
	"github.com/berth-lb/berth/image/license"
)

var update = flag.Bool("update", false, "write the golden file anew")

func TestWrite(t *testing.T) {
	program := compile.Program{Arch: "arm64", Info: &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Path: "github.com/berth-lb/berth", Version: "v0.1.0"},
		Deps: []*debug.Module{
			{Path: "k8s.io/utils", Version: "v0.0.0-20260707023825-cf1189d6abe3", Sum: "h1:abc="},
			{Path: "example.com/replaced", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.0.1+incompatible"}},
		},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.time", Value: "2026-11-21T11:00:00Z"}},
	}}
	modules := []license.Module{
		{Path: "github.com/berth-lb/berth", Texts: []license.Text{{Names: []string{"Apache-2.0"}}}},
		{Path: "k8s.io/utils", Texts: []license.Text{{Names: []string{"Apache-2.0"}}, {Names: []string{"BSD-3-Clause"}}}},
		{Path: license.Go, Texts: []license.Text{{Names: []string{"BSD-3-Clause"}}}},
	}
	var got bytes.Buffer
	if err := Write(&got, program, []debug.Module{{Path: "example.com/roots", Version: "v0.2.0"}}, modules); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/bill.json"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the bill differs from %s; if it is right, run: go test ./sbom -update\n%s", golden, got.Bytes())
	}
}
