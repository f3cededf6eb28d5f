package crds

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestOlder(t *testing.T) {
	r, err := NewRelease("v0.2.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		why, applied string
		older        bool
	}{
		{"MetalLB's, or by hand", "", false},
		{"the same release", "v0.2.0", false},
		{"an earlier one", "v0.1.9", false},
		{"a later one", "v0.10.0", true},
		{"a candidate of the same release", "v0.2.0-rc.1", false},
		{"what is no version is nobody's", "latest", false},
	} {
		if got := r.older(test.applied); got != test.older {
			t.Errorf("%s (%s): got %t", test.why, test.applied, got)
		}
	}
}

func TestKeptVersions(t *testing.T) {
	version := func(name string) any { return map[string]any{"name": name, "served": true, "storage": false} }
	live := &definition{unstructured.Unstructured{Object: map[string]any{
		"spec":   map[string]any{"versions": []any{version("v1beta1"), version("v1beta2"), version("v1alpha1")}},
		"status": map[string]any{"storedVersions": []any{"v1beta1", "v1beta2"}},
	}}}
	kept := live.keptVersions([]any{version("v1beta2")})
	if len(kept) != 1 || nameOf(kept[0]) != "v1beta1" {
		t.Fatalf("kept are %v, want v1beta1 alone: v1beta2 is wanted, and nothing is stored as v1alpha1", kept)
	}
	if kept := kept[0].(map[string]any); kept["served"] != false || kept["storage"] != false {
		t.Errorf("it is kept as %v", kept)
	}
	var none *definition
	if kept := none.keptVersions(nil); kept != nil {
		t.Errorf("of no definition is kept %v", kept)
	}
}

func TestRetry(t *testing.T) {
	resource := schema.GroupResource{Resource: "customresourcedefinitions"}
	passing := apierrors.NewInternalError(errors.New("etcd is away"))
	lasting := apierrors.NewForbidden(resource, "x", errors.New("no"))
	for _, test := range []struct {
		why     string
		results []error
		tries   int
		fails   bool
	}{
		{"it works", []error{nil}, 1, false},
		{"what passes is tried again", []error{passing, passing, nil}, 3, false},
		{"what does not pass is told at once", []error{lasting}, 1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			err := retry(t.Context(), func() error { tries++; return test.results[tries-1] })
			if tries != test.tries || (err != nil) != test.fails {
				t.Errorf("%s: %d tries, %v", test.why, tries, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := retry(ctx, func() error { return passing }); !errors.Is(err, passing) {
			t.Errorf("after a minute it says %v, not what was in the way", err)
		}
	})
}
