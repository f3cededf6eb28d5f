package assemble

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/berth-lb/berth/image/compile"
	"github.com/berth-lb/berth/image/layer"
)

func TestImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	program := compile.Program{Path: path, Arch: "arm64", Info: &debug.BuildInfo{
		Main:     debug.Module{Version: "v0.1.0"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.time", Value: "2026-11-21T11:00:00Z"}},
	}}
	image, err := Image(program, []layer.File{{Path: "licenses/all.txt", Content: []byte("text")}})
	if err != nil {
		t.Fatal(err)
	}
	index := Index([]compile.Program{program}, []v1.Image{image})
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if p := manifest.Manifests[0].Platform; p == nil || p.String() != "linux/arm64/v8" {
		t.Errorf("the index says %v, want linux/arm64/v8", p)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.Config.Entrypoint != nil || config.Config.Cmd != nil {
		t.Errorf("it runs %v %v as %q, want nothing as 65532:65532", config.Config.Entrypoint, config.Config.Cmd, config.Config.User)
	}
	for where, labels := range map[string]map[string]string{"the image": config.Config.Labels, "the index": manifest.Annotations} {
		for name, want := range map[string]string{"version": "v0.1.0", "revision": "0123abc", "created": "2026-11-21T11:00:00Z"} {
			if got := labels["org.opencontainers.image."+name]; got != want {
				t.Errorf("%s has %s %q, want %q", where, name, got, want)
			}
		}
	}
	if size, err := Measure(image); err != nil || size.Packed == 0 || size.Packed >= size.Unpacked {
		t.Errorf("size %v, %v", size, err)
	}
}
