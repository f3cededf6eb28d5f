package chart

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/release"
)

// TestGolden shows in a review what a change of the chart means.
func TestGolden(t *testing.T) {
	for name, args := range map[string][]string{"default": nil, "eks": eks(t), "everything": everything} {
		t.Run(name, func(t *testing.T) {
			got, err := template(t, args...)
			check.Must(t, err)
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				check.Must(t, os.WriteFile(file, []byte(got), 0o644))
			}
			want, err := os.ReadFile(file)
			check.Must(t, err)
			if got != string(want) {
				t.Errorf("it renders to something else than %s; go test ./chart -update, and look at git diff", file)
			}
		})
	}
}

// TestBareMetalIsTheDefault: the profile explains, and changes nothing.
func TestBareMetalIsTheDefault(t *testing.T) {
	plain, err := template(t)
	check.Must(t, err)
	profile, err := template(t, "--values="+filepath.Join(chartDir(t), "values-bare-metal.yaml"))
	check.Must(t, err)
	if plain != profile {
		t.Error("values-bare-metal.yaml changes what is rendered")
	}
}

// TestAPIServerTakesAll has the API server look at every object, also for fields
// that it doesn't know.
func TestAPIServerTakesAll(t *testing.T) {
	kube := cluster.New(t, cluster.Options{})
	api, err := kube.Client()
	check.Must(t, err)
	ctx := t.Context()
	check.Must(t, kube.Install(ctx, operatorCRDs(t)))
	check.Must(t, api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: release.Namespace}}))
	for name, args := range map[string][]string{"default": nil, "EKS": eks(t), "everything": everything} {
		t.Run(name, func(t *testing.T) {
			for _, o := range objects(t, args...) {
				err := api.Create(ctx, o, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
				if err != nil && !apierrors.IsAlreadyExists(err) {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
			}
		})
	}
}
