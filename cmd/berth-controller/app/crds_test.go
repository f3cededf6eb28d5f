package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestEmbedded: a program that can't read its own CRDs must not be released.
func TestEmbedded(t *testing.T) {
	if _, err := embedded(); err != nil {
		t.Error(err)
	}
}

// A Job whose Pod is told to end before it is done has to be run again, so it must
// not end as if all were well, as programs do that serve until they are told.
func TestInterruptedIsAnError(t *testing.T) {
	for _, test := range []struct{ why, at string }{
		{"while it waits for the API server", "/version"},
		{"while it asks for a definition", "/apis"},
	} {
		t.Run(test.why, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == test.at {
					interrupt()
					http.Error(w, "not now", http.StatusServiceUnavailable)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, "{}")
			}))
			defer server.Close()
			cmd := command()
			cmd.SilenceUsage, cmd.SilenceErrors = true, true
			cmd.SetArgs([]string{"apply-crds", "--kubeconfig=" + kubeconfigOf(t, server.URL)})
			if err := cmd.ExecuteContext(ctx); err == nil || errors.Is(err, context.Canceled) {
				t.Errorf("it ends with %v, which counts as success", err)
			}
			if ctx.Err() == nil {
				t.Errorf("it ended before it asked for %s", test.at)
			}
		})
	}
}
