// Package chart tests what the chart renders to, and what it does about CRDs,
// against a real API server.
package chart

import (
	"context"
	"flag"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/release"
)

var update = flag.Bool("update", false, "write the files that tests compare with anew")

// template runs helm template on the chart.
func template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	helm, err := release.New(nil)
	check.Must(t, err)
	return helm.Run(t.Context(), append([]string{"template", release.Name, chartDir(t)}, args...)...)
}

func chartDir(t *testing.T) string {
	t.Helper()
	dir, err := release.Chart()
	check.Must(t, err)
	return dir
}

// objects renders the chart and returns what it renders to.
func objects(t *testing.T, args ...string) []*unstructured.Unstructured {
	t.Helper()
	stream, err := template(t, args...)
	check.Must(t, err)
	all, err := cluster.Decode([]byte(stream))
	check.Must(t, err)
	return all
}

// apply applies objects of the chart that are of those kinds and whose names
// end so.
func apply(ctx context.Context, t *testing.T, kube *cluster.Cluster, suffix string, kinds ...string) {
	t.Helper()
	stream, err := template(t)
	check.Must(t, err)
	for _, document := range strings.Split(stream, "\n---\n") {
		all, err := cluster.Decode([]byte(document))
		check.Must(t, err)
		for _, o := range all {
			if !strings.HasSuffix(o.GetName(), suffix) || !slices.Contains(kinds, o.GetKind()) {
				continue
			}
			if _, err := kube.Apply(ctx, []byte(document)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
