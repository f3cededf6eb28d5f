package chart

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/release"
)

// A speaker asks for one Secret at a time, so that its role can name them.
func TestSecretsByName(t *testing.T) {
	kube := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	admin, err := kube.Client()
	check.Must(t, err)
	check.Must(t, admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: release.Namespace}}))
	for _, name := range []string{"named", "other"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: release.Namespace, Name: name}, Type: corev1.SecretTypeBasicAuth,
			StringData: map[string]string{corev1.BasicAuthPasswordKey: "s3cret"}}
		check.Must(t, admin.Create(ctx, secret))
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
			check.Must(t, err)
			speaker, err := client.New(config, client.Options{})
			check.Must(t, err)
			read := func(name string) error {
				options := &client.ListOptions{Namespace: release.Namespace}
				if name != all {
					options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name)
				}
				return speaker.List(ctx, &corev1.SecretList{}, options)
			}
			// Roles take effect a moment after they are written.
			for _, name := range test.may {
				check.Eventually(t, 10*time.Second, func() error { return read(name) })
			}
			for _, name := range test.not {
				check.Eventually(t, 10*time.Second, func() error {
					err := read(name)
					return check.Is(fmt.Sprintf("%q is forbidden (%v)", name, err), apierrors.IsForbidden(err), true)
				})
			}
		})
	}
}
