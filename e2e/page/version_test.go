package page

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/berth-lb/berth/e2e/cluster"
)

// What pages have readers install is what this tree releases.
func TestVersions(t *testing.T) {
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	version := regexp.MustCompile(`(?m)^version: (.+)$`).FindStringSubmatch(read(filepath.Join(root, "charts", "berth", "Chart.yaml")))[1]
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		for _, m := range regexp.MustCompile(`oci://ghcr\.io/berth-lb/charts/berth --version (\S+)|ghcr\.io/berth-lb/berth:v(\d\S*)|cmd/berth-controller@v([^\s`+"`"+`]+)`).FindAllStringSubmatch(read(page), -1) {
			found++
			if got := m[1] + m[2] + m[3]; got != version {
				t.Errorf("%s has %q, and the chart is of version %s", filepath.Base(page), m[0], version)
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d versions are found", found)
	}
}
