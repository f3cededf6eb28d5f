package check_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/check"
)

// trial is a test that may fail.
type trial struct {
	testing.TB
	said string
}

func (t *trial) Helper()                           {}
func (t *trial) Error(args ...any)                 { t.said += fmt.Sprint(args...) }
func (t *trial) Errorf(format string, args ...any) { t.said += fmt.Sprintf(format, args...) }
func (t *trial) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (t *trial) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// said is what a test that does this says.
func said(do func(t testing.TB)) (text string) {
	t := &trial{}
	defer func() {
		if fatal := recover(); fatal != nil {
			t.said += fmt.Sprint(fatal)
		}
		text = t.said
	}()
	do(t)
	return
}

func TestWhatFails(t *testing.T) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	svc.Status.Conditions = []metav1.Condition{{Type: "Provisioned", Status: "False", Reason: "NoPool", Message: "make an IPAddressPool"}}
	condition := func(kind string, status metav1.ConditionStatus, reason string, named ...string) func(testing.TB) {
		return func(t testing.TB) { check.Must(t, check.Condition(svc, kind, status, reason, named...)) }
	}
	wanted := func(read, is error) func(testing.TB) {
		return func(t testing.TB) {
			check.Must(t, check.Wanted(svc, read, func(*corev1.Service) error { return is }))
		}
	}
	gone := func(read error) func(testing.TB) {
		return func(t testing.TB) { check.Must(t, check.Gone(svc, read)) }
	}
	logs := func(text string) func(testing.TB) {
		path := filepath.Join(t.TempDir(), "log")
		check.Must(t, os.WriteFile(path, []byte(text), 0o600))
		return func(t testing.TB) { check.Logs(t, path) }
	}
	for _, test := range []struct {
		why  string
		do   func(testing.TB)
		want string // empty: it passes
	}{
		{"the condition is as wanted", condition("Provisioned", "False", "NoPool", "IPAddressPool"), ""},
		{"any reason will do", condition("Provisioned", "False", ""), ""},
		{"another condition", condition("Serving", "False", "NoPool"), "no condition Serving"},
		{"another status", condition("Provisioned", "True", ""), "want True"},
		{"another reason", condition("Provisioned", "False", "PoolExhausted"), "want False for PoolExhausted"},
		{"another message", condition("Provisioned", "False", "NoPool", "IPAddressPool", "blue"), `does not name "blue"`},
		{"as wanted", wanted(nil, nil), ""},
		{"not as wanted", wanted(nil, errors.New("no address")), "Service web: no address"},
		{"not to be read", wanted(errors.New("no API server"), nil), "no API server"},
		{"it is gone", gone(apierrors.NewNotFound(corev1.Resource("services"), "web")), ""},
		{"it is not gone", gone(nil), "Service web still exists"},
		{"nobody knows whether it is gone", gone(errors.New("no API server")), "no API server"},
		{"a log of nothing", logs("all is well"), ""},
		{"a log of a race", logs("WARNING: DATA RACE\nRead at"), "Read at"},
		{"a log of a panic", logs("panic: nil map"), "nil map"},
		{"no log", func(t testing.TB) { check.Logs(t, "/nowhere") }, "/nowhere"},
		{"what never comes", func(t testing.TB) {
			check.Eventually(t, 0, func() error { return check.Is("it", 1, 2) })
		}, "it is 1, want 2"},
		{"what comes late", func(t testing.TB) {
			tries := []error{errors.New("not yet"), nil}
			check.Eventually(t, time.Minute, func() (err error) { err, tries = tries[0], tries[1:]; return err })
		}, ""},
	} {
		if got := said(test.do); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: it says %q, want %q", test.why, got, test.want)
		}
	}
}
