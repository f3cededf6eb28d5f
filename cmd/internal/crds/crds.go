// Package crds brings the custom resource definitions of a cluster to those of
// one release.
package crds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// versionAnnotation is the release whose definition was applied last.
	versionAnnotation = "berth-lb.dev/crds-version"
	// owner is whom the API server knows as the manager of the fields.
	owner = client.FieldOwner("berth")
)

// Outcome is what became of one definition.
type Outcome string

const (
	Created   Outcome = "created"
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
	// Newer is one that a newer release has applied. It stays: an older one could
	// drop fields that objects use.
	Newer Outcome = "left alone"
)

// Release is a set of definitions.
type Release struct {
	version     *version.Version
	definitions []*unstructured.Unstructured
}

// NewRelease reads the definitions.
func NewRelease(ofVersion string, texts [][]byte) (Release, error) {
	v, err := version.ParseSemantic(ofVersion)
	if err != nil {
		return Release{}, fmt.Errorf("the version of the CRDs: %w", err)
	}
	r := Release{version: v}
	for _, text := range texts {
		d := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &d.Object); err != nil {
			return Release{}, fmt.Errorf("reading a CRD: %w", err)
		}
		r.definitions = append(r.definitions, d)
	}
	return r, nil
}

// Apply applies all, tells report what became of each, and returns when the API
// server serves them. What may pass is tried again until ctx ends.
func (r Release) Apply(ctx context.Context, c client.Client, report func(name string, what Outcome, because string)) error {
	for _, d := range r.definitions {
		if err := r.applyOne(ctx, c, d, report); err != nil {
			return fmt.Errorf("CustomResourceDefinition %s: %w", d.GetName(), err)
		}
	}
	return nil
}

func (r Release) applyOne(ctx context.Context, c client.Client, d *unstructured.Unstructured, report func(string, Outcome, string)) error {
	var what Outcome
	var by string
	err := retry(ctx, func() (err error) {
		what, by, err = r.try(ctx, c, d)
		return err
	})
	if err != nil {
		return err
	}
	if err := retry(ctx, func() error { return established(ctx, c, d.GetName()) }); err != nil {
		return err
	}
	report(d.GetName(), what, by)
	return nil
}

// try applies one definition once. Of one that is newer it returns what release
// it is of.
func (r Release) try(ctx context.Context, c client.Client, d *unstructured.Unstructured) (Outcome, string, error) {
	live, err := get(ctx, c, d.GetName())
	if err != nil {
		return "", "", err
	}
	if live != nil && live.GetDeletionTimestamp() != nil {
		return "", "", errors.New("it is being deleted")
	}
	if by := live.annotation(versionAnnotation); r.older(by) {
		return Newer, by, nil
	}
	if err := live.dropWebhook(ctx, c); err != nil {
		return "", "", err
	}
	next := r.desired(d, live)
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(next), owner, client.ForceOwnership); err != nil {
		return "", "", err
	}
	switch {
	case live == nil:
		return Created, "", nil
	case live.GetResourceVersion() == next.GetResourceVersion():
		return Unchanged, "", nil
	}
	return Changed, "", nil
}

// older says whether r is older than that version; one that can't be read is
// nobody's.
func (r Release) older(than string) bool {
	v, err := version.ParseSemantic(than)
	return err == nil && r.version.LessThan(v)
}

// desired is what to apply in place of live.
func (r Release) desired(d *unstructured.Unstructured, live *definition) *unstructured.Unstructured {
	next := d.DeepCopy()
	annotations := maps.Clone(next.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[versionAnnotation] = "v" + r.version.String()
	next.SetAnnotations(annotations)
	spec := next.Object["spec"].(map[string]any)
	spec["conversion"] = map[string]any{"strategy": "None"}
	versions, _ := spec["versions"].([]any)
	spec["versions"] = append(versions, live.keptVersions(versions)...)
	return next
}

// definition is one in the cluster; nil is none.
type definition struct{ unstructured.Unstructured }

func get(ctx context.Context, c client.Client, name string) (*definition, error) {
	d := &definition{}
	d.SetAPIVersion("apiextensions.k8s.io/v1")
	d.SetKind("CustomResourceDefinition")
	err := c.Get(ctx, client.ObjectKey{Name: name}, &d.Unstructured)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return d, err
}

func (d *definition) annotation(key string) string {
	if d == nil {
		return ""
	}
	return d.GetAnnotations()[key]
}

// dropWebhook takes out what converts between versions: in MetalLB's definitions
// a webhook of its controller. To apply a definition that says nothing of it would
// leave it there.
func (d *definition) dropWebhook(ctx context.Context, c client.Client) error {
	if d == nil {
		return nil
	}
	if _, has, _ := unstructured.NestedMap(d.Object, "spec", "conversion", "webhook"); !has {
		return nil
	}
	patch := `{"spec":{"conversion":{"strategy":"None","webhook":null}}}`
	if err := c.Patch(ctx, d.Unstructured.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), owner); err != nil {
		return fmt.Errorf("taking out its conversion webhook: %w", err)
	}
	return nil
}

// keptVersions are those that objects are stored in and that wanted lacks, not
// served any more: the API server refuses to forget them. Their fields have the
// same names in all versions, so that no conversion is needed to read them.
func (d *definition) keptVersions(wanted []any) []any {
	if d == nil {
		return nil
	}
	stored, _, _ := unstructured.NestedStringSlice(d.Object, "status", "storedVersions")
	versions, _, _ := unstructured.NestedSlice(d.Object, "spec", "versions")
	var kept []any
	for _, v := range versions {
		v, ok := v.(map[string]any)
		if !ok || !slices.Contains(stored, nameOf(v)) || slices.ContainsFunc(wanted, func(w any) bool { return nameOf(w) == nameOf(v) }) {
			continue
		}
		v["served"], v["storage"] = false, false
		kept = append(kept, v)
	}
	return kept
}

func nameOf(version any) string {
	v, _ := version.(map[string]any)
	name, _ := v["name"].(string)
	return name
}

// established returns nil once the API server serves the definition.
func established(ctx context.Context, c client.Client, name string) error {
	d, err := get(ctx, c, name)
	if err != nil {
		return err
	}
	if d == nil {
		return errors.New("it was deleted")
	}
	conditions, _, _ := unstructured.NestedSlice(d.Object, "status", "conditions")
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		switch {
		case c["type"] == "Established" && c["status"] == "True":
			return nil
		case c["type"] == "NamesAccepted" && c["status"] == "False":
			return fmt.Errorf("its names are not accepted: %v", c["message"])
		}
	}
	return errors.New("the API server does not serve it yet")
}

// retry calls try until it succeeds, or fails in a way that does not pass, or
// ctx ends; the last error is the one that is told.
func retry(ctx context.Context, try func() error) error {
	pause := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 1.6, Steps: 10, Cap: 2 * time.Second}
	for {
		err := try()
		if err == nil || lasting(err) || errors.Is(err, context.Canceled) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("given up: %w", err)
		case <-time.After(pause.Step()):
		}
	}
}

func lasting(err error) bool {
	for _, is := range []func(error) bool{
		apierrors.IsForbidden, apierrors.IsUnauthorized, apierrors.IsInvalid, apierrors.IsBadRequest, apierrors.IsMethodNotSupported,
	} {
		if is(err) {
			return true
		}
	}
	return false
}
