// Package chart holds what programs need of the chart: its CRDs.
package chart

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed crds/*.yaml
var crds embed.FS

//go:embed Chart.yaml
var description string

// CRDs are the texts of the custom resource definitions, in order of their
// files' names.
func CRDs() ([][]byte, error) {
	files, err := crds.ReadDir("crds")
	if err != nil {
		return nil, fmt.Errorf("reading the chart's CRDs: %w", err)
	}
	all := make([][]byte, len(files))
	for i, f := range files {
		if all[i], err = crds.ReadFile("crds/" + f.Name()); err != nil {
			return nil, fmt.Errorf("reading the chart's CRDs: %w", err)
		}
	}
	return all, nil
}

// AppVersion is the release of Berth that the chart is of.
func AppVersion() (string, error) {
	for line := range strings.Lines(description) {
		if version, ok := strings.CutPrefix(line, "appVersion:"); ok {
			return strings.Trim(version, " \"\n"), nil
		}
	}
	return "", fmt.Errorf("Chart.yaml says no appVersion")
}
