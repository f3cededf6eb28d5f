package chart

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

// foreign are metrics that libraries and Prometheus itself make.
var foreign = []string{
	"controller_runtime_reconcile_total", "controller_runtime_reconcile_errors_total", "leader_election_master_status",
	"process_resident_memory_bytes", "up",
}

// TestRules has Prometheus read the alerts and what the dashboards show, and finds
// metrics in them that nobody makes.
func TestRules(t *testing.T) {
	names := strings.Fields(prometheus(t, rules(t), "run", "."))
	if len(names) < 10 {
		t.Fatalf("only %d metrics are found: %v", len(names), names)
	}
	known := literals(t)
	for _, name := range names {
		if !slices.Contains(foreign, name) && !known.make(name) {
			t.Errorf("no code makes the metric %s", name)
		}
	}
}

// files are the strings in each file of the product's code.
type files []map[string]bool

// make says whether one file has the name, as a whole or in two parts.
func (all files) make(name string) bool {
	for _, strings := range all {
		if strings[name] {
			return true
		}
		for i := range name {
			if strings[name[:i]] && strings[name[i:]] {
				return true
			}
		}
	}
	return false
}

func literals(t *testing.T) files {
	t.Helper()
	root, err := cluster.Root()
	check.Must(t, err)
	quoted := regexp.MustCompile(`"([a-z_0-9]+)"`)
	var all files
	for _, dir := range []string{"cmd", "controller", "providers", "speaker"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			found := map[string]bool{}
			for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
				found[m[1]] = true
			}
			all = append(all, found)
			return err
		})
		check.Must(t, err)
	}
	return all
}
