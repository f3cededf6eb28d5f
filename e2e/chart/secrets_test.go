package chart

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/release"
)

// A speaker asks for one Secret at a time, so that its role can name them.
func TestSecretsByName(t *testing.T) {
	kube := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	admin, err := kube.Client()
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: release.Namespace}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"named", "other"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: release.Namespace, Name: name}, Type: corev1.SecretTypeBasicAuth,
			StringData: map[string]string{corev1.BasicAuthPasswordKey: "s3cret"}}
		if err := admin.Create(ctx, secret); err != nil {
			t.Fatal(err)
		}
	}
	const all = ""
	for _, test := range []struct {
		why   string
		value string
		may   []string
		not   []string
	}{
		{"not said: any of the namespace", "speaker.passwordSecrets=null", []string{"named", "other", all}, nil},
		{"those that are named, and no list of all", `speaker.passwordSecrets=["named"]`, []string{"named"}, []string{"other", all}},
		{"none", "speaker.passwordSecrets=[]", nil, []string{"named", "other", all}},
	} {
		t.Run(test.why, func(t *testing.T) {
			config, err := release.Account(ctx, kube, release.Namespace, "speaker", "--set-json="+test.value)
			if err != nil {
				t.Fatal(err)
			}
			speaker, err := client.New(config, client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			read := func(name string) error {
				options := &client.ListOptions{Namespace: release.Namespace}
				if name != all {
					options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name)
				}
				return speaker.List(ctx, &corev1.SecretList{}, options)
			}
			for _, name := range test.may {
				eventually(t, fmt.Sprintf("it may read %q", name), func() error { return read(name) })
			}
			for _, name := range test.not {
				eventually(t, fmt.Sprintf("it may not read %q", name), func() error {
					if err := read(name); !apierrors.IsForbidden(err) {
						return fmt.Errorf("it says %w", err)
					}
					return nil
				})
			}
		})
	}
}

// eventually returns when check has nothing to say: roles take effect a moment
// after they are written.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	})
	if err != nil {
		t.Errorf("%s: %v", what, last)
	}
}
