package suite

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
)

// poolOption is a part of an IPAddressPool's spec.
type poolOption func(spec map[string]any)

func field(name string, value any) poolOption {
	return func(spec map[string]any) { spec[name] = value }
}

// ranges are the addresses of a pool.
func ranges(all ...string) poolOption {
	list := make([]any, len(all))
	for i, one := range all {
		list[i] = one
	}
	return field("addresses", list)
}

// byName makes a pool one that has to be asked for.
var byName = field("autoAssign", false)

// allocation says whom a pool is for.
func allocation(name string, value ...any) poolOption {
	return field("serviceAllocation", map[string]any{name: value})
}

func matching(key, value string) map[string]any {
	return map[string]any{"matchLabels": map[string]any{key: value}}
}

func (l *lab) pool(name string, options ...poolOption) {
	l.t.Helper()
	pool, spec := check.Object("IPAddressPool", l.conf, name), map[string]any{}
	for _, option := range options {
		option(spec)
	}
	pool.Object["spec"] = spec
	l.must(l.api.Create(l.t.Context(), pool))
}

func (l *lab) editPool(name string, options ...poolOption) {
	l.t.Helper()
	pool := check.Object("IPAddressPool", l.conf, name)
	l.must(l.api.Get(l.t.Context(), client.ObjectKeyFromObject(pool), pool))
	before := pool.DeepCopy()
	for _, option := range options {
		option(pool.Object["spec"].(map[string]any))
	}
	l.must(l.api.Patch(l.t.Context(), pool, client.MergeFrom(before)))
}

func (l *lab) deletePool(name string) {
	l.t.Helper()
	l.must(l.api.Delete(l.t.Context(), check.Object("IPAddressPool", l.conf, name)))
}

// poolsRule returns once the controller has taken over every pool, by their
// statuses.
func (l *lab) poolsRule() {
	l.t.Helper()
	l.eventually(func() error {
		pools := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPoolList"}}
		if err := l.api.List(l.t.Context(), pools, client.InNamespace(l.conf)); err != nil {
			return err
		}
		for _, pool := range pools.Items {
			if _, written, _ := unstructured.NestedMap(pool.Object, "status"); !written {
				return fmt.Errorf("pool %s has no status yet", pool.GetName())
			}
		}
		return nil
	})
}

// usage is the status of an IPAddressPool.
type usage struct{ assigned4, assigned6, available4, available6 int64 }

// counts returns once a pool's status shows want: it may lag a little, so that
// a storm is not written down one by one.
func (l *lab) counts(name string, want usage) {
	l.t.Helper()
	l.eventually(func() error {
		pool := check.Object("IPAddressPool", l.conf, name)
		if err := l.api.Get(l.t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil {
			return err
		}
		number := func(key string) int64 {
			n, _, _ := unstructured.NestedInt64(pool.Object, "status", key)
			return n
		}
		got := usage{number("assignedIPv4"), number("assignedIPv6"), number("availableIPv4"), number("availableIPv6")}
		if got != want {
			return fmt.Errorf("the status of pool %s is %+v, want %+v", name, got, want)
		}
		return nil
	})
}

// configurationIs returns once the ConfigurationState of the controller has
// that result and its summary names all of those things.
func (l *lab) configurationIs(result string, named ...string) {
	l.t.Helper()
	l.eventually(func() error { return l.configuration(result, named...) })
}

// configuration tells what in the ConfigurationState is not so.
func (l *lab) configuration(result string, named ...string) error {
	state := check.Object("ConfigurationState", l.conf, "controller")
	if err := l.api.Get(l.t.Context(), client.ObjectKeyFromObject(state), state); err != nil {
		return err
	}
	got, _, _ := unstructured.NestedString(state.Object, "status", "result")
	summary, _, _ := unstructured.NestedString(state.Object, "status", "errorSummary")
	if got != result {
		return fmt.Errorf("the ConfigurationState is %s, want %s: %s", got, result, summary)
	}
	if result == "Valid" && summary != "" {
		return errors.New("the ConfigurationState is Valid and tells of an error: " + summary)
	}
	for _, name := range named {
		if !strings.Contains(summary, name) {
			return fmt.Errorf("the ConfigurationState does not name %q: %s", name, summary)
		}
	}
	return nil
}

// labelNamespace labels the namespace of the lab's Services.
func (l *lab) labelNamespace(key, value string) {
	l.t.Helper()
	namespace := &corev1.Namespace{}
	l.must(l.api.Get(l.t.Context(), client.ObjectKey{Name: l.apps}, namespace))
	before := namespace.DeepCopy()
	metav1.SetMetaDataLabel(&namespace.ObjectMeta, key, value)
	l.must(l.api.Patch(l.t.Context(), namespace, client.MergeFrom(before)))
}
