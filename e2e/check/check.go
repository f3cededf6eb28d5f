// Package check is what tests of several packages wait for, compare and look up.
package check

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/cluster"
)

// Eventually returns once ask has nothing to say, and fails the test with what it
// said last if that takes longer than within.
func Eventually(t testing.TB, within time.Duration, ask func() error) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(25 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still after %v: %v", within, err)
		}
	}
}

// Quiet lets time pass in which nothing is to happen; what says that nothing did
// is up to the caller. It is short: enough for any reaction of a controller that
// answers within milliseconds.
func Quiet() { time.Sleep(1500 * time.Millisecond) }

// Must ends the test for an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Is tells what differs.
func Is[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}

// Logs fails the test for what no program of Berth may ever say.
func Logs(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		log, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		for _, bad := range []string{"DATA RACE", "panic", "fatal error:", "starting a container:"} {
			if at := strings.Index(string(log), bad); at >= 0 {
				t.Errorf("%s says %q:\n%s", path, bad, log[max(0, at-500):min(len(log), at+6000)])
			}
		}
	}
}

// Controller is the berth-controller to test: what $BERTH_CONTROLLER names, else
// a build that looks for data races, else one that does not.
func Controller() (string, error) {
	if path := os.Getenv("BERTH_CONTROLLER"); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("$BERTH_CONTROLLER: %w", err)
		}
		return filepath.Abs(path)
	}
	if path, err := cluster.Built("berth-controller.race"); err == nil {
		return path, nil
	}
	return cluster.Built("berth-controller")
}

var names struct {
	sync.Mutex
	used map[string]int
}

// Unique is name, with a number if it was asked for before, as by -count.
func Unique(name string) string {
	names.Lock()
	defer names.Unlock()
	if names.used == nil {
		names.used = map[string]int{}
	}
	names.used[name]++
	if n := names.used[name]; n > 1 {
		return fmt.Sprintf("%s-%d", name, n)
	}
	return name
}
