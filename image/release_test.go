package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The chart installs the image of its appVersion, so both are of one release,
// and that is the newest one that the changelog tells of. Before the first one,
// the changelog has none.
func TestChartIsOfTheNewestRelease(t *testing.T) {
	chart := read(t, "../charts/berth/Chart.yaml")
	version := first(chart, `(?m)^version: "?([^"\s]+)"?$`)
	app := first(chart, `(?m)^appVersion: "?([^"\s]+)"?$`)
	if version == "" || app != "v"+version {
		t.Errorf("the chart has version %q and appVersion %q, want the same with a v", version, app)
	}
	released := first(read(t, "../CHANGELOG.md"), `(?m)^## (v\S+) - \d{4}-\d\d-\d\d$`)
	if released != "" && released != app {
		t.Errorf("the newest release in CHANGELOG.md is %s, and the chart is of %s", released, app)
	}
}

func TestHeadingsOfTheChangelog(t *testing.T) {
	allowed := regexp.MustCompile(`^## (Unreleased|v\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d)$`)
	for _, heading := range regexp.MustCompile(`(?m)^## .*$`).FindAllString(read(t, "../CHANGELOG.md"), -1) {
		if !allowed.MatchString(heading) {
			t.Errorf("%q; allowed are \"## Unreleased\" and \"## v1.2.3 - 2026-11-21\"", heading)
		}
	}
}

func first(text, pattern string) string {
	if match := regexp.MustCompile(pattern).FindStringSubmatch(text); match != nil {
		return match[1]
	}
	return ""
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Workflows run what the Makefile has, on actions that nobody can exchange.
func TestWorkflows(t *testing.T) {
	paths, err := filepath.Glob("../.github/workflows/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d workflows, %v", len(paths), err)
	}
	makefile := read(t, "../Makefile")
	for _, path := range paths {
		text := read(t, path)
		for _, use := range regexp.MustCompile(`uses: .*`).FindAllString(text, -1) {
			if !regexp.MustCompile(`^uses: [\w/-]+@[0-9a-f]{40} # v[\d.]+$`).MatchString(use) {
				t.Errorf("%s: %q; allowed is a commit, with its version in a comment", path, use)
			}
		}
		for _, call := range regexp.MustCompile(`\bmake ([a-z][a-z0-9-]*)`).FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+call[1]+":") {
				t.Errorf("%s: make %s is no target of the Makefile", path, call[1])
			}
		}
		if !strings.Contains(text, "\npermissions:\n  contents: read\n") {
			t.Errorf("%s does not limit what all its jobs may do to reading", path)
		}
	}
}
