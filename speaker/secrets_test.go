package speaker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// asked are secrets of which a test does what the API server would.
type asked struct {
	*secrets
	stores  map[string]*oneSecret
	ended   map[string]bool
	changes int
}

func newAsked() *asked {
	a := &asked{stores: map[string]*oneSecret{}, ended: map[string]bool{}}
	a.secrets = newSecrets(func(ctx context.Context, name string, one *oneSecret) {
		a.stores[name] = one
		context.AfterFunc(ctx, func() { a.ended[name] = true })
	}, func() { a.changes++ })
	return a
}

func TestASecretIsFollowedByItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		began := time.Now()
		if _, err := a.get("key"); !errors.Is(err, errUnread) || time.Since(began) != readTime {
			t.Errorf("nobody answers: %v after %v", err, time.Since(began))
		}
		full := passwordSecret("key", "s3cret")
		full.Annotations, full.Data["username"] = map[string]string{"kubectl": "all of it once more"}, []byte("nobody asks")
		if err := a.stores["key"].Replace([]any{full}, ""); err != nil {
			t.Error(err)
		}
		kept, err := a.get("key")
		if err != nil || len(kept.Data) != 1 || string(kept.Data[corev1.BasicAuthPasswordKey]) != "s3cret" || kept.Annotations != nil {
			t.Errorf("kept is %+v, %v", kept, err)
		}
		opaque := passwordSecret("key", "s3cret")
		opaque.Type = corev1.SecretTypeOpaque
		_ = a.stores["key"].Update(opaque)
		if kept, _ := a.get("key"); kept != nil {
			t.Errorf("one of another type is kept: %+v", kept)
		}
		if a.changes != 2 {
			t.Errorf("%d changes were told", a.changes)
		}
		a.keep(map[string]bool{"other": true})
		synctest.Wait()
		if !a.ended["key"] || len(a.named) != 0 {
			t.Errorf("what nobody names is followed on: %v", a.named)
		}
	})
}

// An API server that is away takes no password away; one that refuses is quoted.
func TestWhySecretsAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		_, _ = a.get("key")
		forbidden := apierrors.NewForbidden(corev1.Resource("secrets"), "key", errors.New("no rule"))
		a.stores["key"].fail(forbidden)
		if _, err := a.get("key"); !apierrors.IsForbidden(err) {
			t.Errorf("got %v", err)
		}
		_, fault := (&Speaker{secrets: a.secrets}).password("key")
		if !strings.Contains(fault, "speaker.passwordSecrets") {
			t.Errorf("the user is told %q", fault)
		}
		_ = a.stores["key"].Add(passwordSecret("key", "s3cret"))
		a.stores["key"].fail(errors.New("away"))
		if kept, err := a.get("key"); kept == nil || err != nil {
			t.Errorf("got %v, %v", kept, err)
		}
		a.keep(nil)
	})
}
