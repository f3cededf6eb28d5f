package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// Who goes by what a dry run prints must not take a part of it for all.
func TestInterruptedDryRunIsAnError(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	answers := map[string]string{
		"/api":    `{"kind": "APIVersions", "versions": ["v1"]}`,
		"/apis":   `{"kind": "APIGroupList", "apiVersion": "v1", "groups": []}`,
		"/api/v1": `{"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "services", "kind": "Service", "namespaced": true}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/services" {
			interrupt()
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answers[r.URL.Path])
	}))
	defer server.Close()
	cmd := command()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs([]string{"--dry-run", "--backends=aws", "--aws-cluster-name=blue", "--aws-region=eu-west-1", "--aws-vpc-id=vpc-1",
		"--kubeconfig=" + kubeconfigOf(t, server.URL)})
	if err := cmd.ExecuteContext(ctx); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v, which counts as success", err)
	}
	if ctx.Err() == nil {
		t.Error("it ended before it asked for Services")
	}
}

func kubeconfigOf(t *testing.T, server string) string {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"clusters": [{"name": "c", "cluster": {"server": "` + server + `"}}],
		"contexts": [{"name": "c", "context": {"cluster": "c"}}], "current-context": "c"}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
