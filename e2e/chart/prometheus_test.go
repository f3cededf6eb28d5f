package chart

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/berth-lb/berth/e2e/check"
)

// prometheus runs go where Prometheus and its operator are among the modules, and
// returns what that prints.
func prometheus(t *testing.T, input io.Reader, args ...string) string {
	t.Helper()
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Stdin, cmd.Stderr = filepath.Join("..", "prometheus"), input, &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v: %s", strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// operatorCRDs is a folder with the CRDs of what the chart makes for the Prometheus
// Operator, as its module has them.
func operatorCRDs(t *testing.T) string {
	t.Helper()
	module := prometheus(t, nil, "list", "-find", "-f={{.Module.Dir}}", "github.com/prometheus-operator/prometheus-operator/pkg/versionutil")
	dir := t.TempDir()
	for _, kind := range []string{"podmonitors", "prometheusrules", "servicemonitors"} {
		name := "monitoring.coreos.com_" + kind + ".yaml"
		check.Must(t, os.Symlink(filepath.Join(module, "example", "prometheus-operator-crd", name), filepath.Join(dir, name)))
	}
	return dir
}

// rules is a file for Prometheus with the alerts, and what the dashboards show.
func rules(t *testing.T) io.Reader {
	t.Helper()
	groups := []any{map[string]any{"name": "dashboards", "rules": shown(t)}}
	for _, o := range objects(t, everything...) {
		if o.GetKind() == "PrometheusRule" {
			alerts, _, err := unstructured.NestedSlice(o.Object, "spec", "groups")
			check.Must(t, err)
			groups = append(groups, alerts...)
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": groups})
	check.Must(t, err)
	return strings.NewReader(string(text))
}

// shown are the expressions of dashboards as rules.
func shown(t *testing.T) (all []map[string]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chartDir(t), "dashboards", "*.json"))
	check.Must(t, err)
	for _, file := range files {
		var dashboard struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		read(t, filepath.Join("dashboards", filepath.Base(file)), func(text []byte) error { return json.Unmarshal(text, &dashboard) })
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
				all = append(all, map[string]string{"record": fmt.Sprintf("shown:%d", len(all)), "expr": expr})
			}
		}
	}
	return all
}
