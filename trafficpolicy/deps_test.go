package trafficpolicy

import (
	"go/build"
	"slices"
	"testing"
)

// No clients, clocks, logs or I/O: what may be imported is listed in full.
func TestImports(t *testing.T) {
	allowed := []string{
		"fmt", "maps", "slices", "strings",
		"k8s.io/api/core/v1", "k8s.io/api/discovery/v1", "k8s.io/apimachinery/pkg/labels",
	}
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pkg.Imports {
		if !slices.Contains(allowed, path) {
			t.Errorf("imports %s", path)
		}
	}
}
