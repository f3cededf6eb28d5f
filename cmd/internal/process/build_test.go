package process

import (
	"bytes"
	"maps"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/berth-lb/berth/cmd/internal/version"
)

func TestVersionFlag(t *testing.T) {
	cmd := &cobra.Command{Use: "berth-test", RunE: func(*cobra.Command, []string) error {
		t.Error("--version ran the command")
		return nil
	}}
	prepare(cmd)
	out := &bytes.Buffer{}
	cmd.SetOut(out)
	cmd.SetArgs([]string{"--version"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if want := "berth-test version " + version.Get().String() + "\n"; out.String() != want {
		t.Errorf("--version says %q, want %q", out, want)
	}
}

func TestBuildInfo(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(buildInfo(version.Build{Version: "v0.1.0", Commit: "0123abc", Go: "go1.26.8"}))
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	if name := families[0].GetName(); name != "berth_build_info" {
		t.Errorf("its name is %s", name)
	}
	metric := families[0].GetMetric()[0]
	if metric.GetGauge().GetValue() != 1 {
		t.Errorf("%v, want 1", metric.GetGauge())
	}
	got := map[string]string{}
	for _, label := range metric.GetLabel() {
		got[label.GetName()] = label.GetValue()
	}
	if want := map[string]string{"version": "v0.1.0", "commit": "0123abc", "go": "go1.26.8"}; !maps.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
}
