package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lease is one that takes any record, unless it fails.
type lease struct {
	resourcelock.Interface
	err error
}

func (l *lease) Identity() string { return "me" }
func (l *lease) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	return l.err
}
func (l *lease) Update(context.Context, resourcelock.LeaderElectionRecord) error {
	return l.err
}

func TestFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := &lease{}
		f := &fence{Interface: under, valid: 10 * time.Second}
		conn := f.wrap(roundTripper(func(*http.Request) (*http.Response, error) { return &http.Response{}, nil }))
		check := func(what string, may bool) {
			t.Helper()
			read, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api/", nil)
			if _, err := conn.RoundTrip(read); err != nil {
				t.Errorf("%s: reading: %v", what, err)
			}
			write, _ := http.NewRequestWithContext(t.Context(), http.MethodPatch, "https://api/", strings.NewReader("{}"))
			if _, err := conn.RoundTrip(write); may && err != nil || !may && !errors.Is(err, errFenced) {
				t.Errorf("%s: writing: %v, want allowed: %t", what, err, may)
			}
		}
		mine, nobodys := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}, resourcelock.LeaderElectionRecord{}

		check("before it leads", false)
		_ = f.Create(t.Context(), mine)
		check("as leader", true)
		time.Sleep(9 * time.Second)
		check("before the deadline", true)
		_ = f.Update(t.Context(), mine)
		time.Sleep(9 * time.Second)
		check("renewed", true)
		under.err = errors.New("away")
		_ = f.Update(t.Context(), mine)
		time.Sleep(time.Second)
		check("not renewed in time", false)
		under.err = nil
		_ = f.Update(t.Context(), mine)
		check("renewed again", true)
		_ = f.Update(t.Context(), nobodys)
		check("given back", false)
	})
}
