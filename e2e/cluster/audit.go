package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// auditPolicy has requests of ServiceAccounts be logged, by what they ask for.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
omitManagedFields: true
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts"]
- level: None
`

const auditLog = "audit.log"

// auditArgs are the flags of kube-apiserver that have it log.
func (c *Cluster) auditArgs() ([]string, error) {
	if !c.opts.Audit {
		return nil, nil
	}
	policy := filepath.Join(c.dir, "audit-policy.yaml")
	return []string{"--audit-policy-file=" + policy, "--audit-log-path=" + filepath.Join(c.dir, auditLog)},
		os.WriteFile(policy, []byte(auditPolicy), 0o600)
}

// event is what of an audit.k8s.io Event counts here.
type event struct {
	Verb string
	User struct{ Username string }

	ObjectRef      struct{ APIGroup, Resource, Subresource, Namespace, Name string }
	ResponseStatus struct{ Code int }
	Annotations    map[string]string
}

// refused says that no role allows it: admission may forbid things, too, as it
// does in a namespace that is being deleted.
func (e event) refused() bool {
	return e.ResponseStatus.Code == http.StatusForbidden && e.Annotations["authorization.k8s.io/decision"] == "forbid"
}

func (e event) String() string {
	what := e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		what += "/" + e.ObjectRef.Subresource
	}
	return fmt.Sprintf("%s may not %s %s of the group %q in %q", e.User.Username, e.Verb, what, e.ObjectRef.APIGroup, e.ObjectRef.Namespace)
}

// Refused lists the requests of ServiceAccounts that no role allows, each once,
// where Options.Audit is set.
func (c *Cluster) Refused() ([]string, error) {
	f, err := os.Open(filepath.Join(c.dir, auditLog))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing was asked for
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.refused() {
			all = append(all, e.String())
		}
	}
	slices.Sort(all)
	return slices.Compact(all), lines.Err()
}

// NothingRefused is an error if a ServiceAccount asked for what no role allows.
func (c *Cluster) NothingRefused() error {
	refused, err := c.Refused()
	if err == nil && len(refused) > 0 {
		err = fmt.Errorf("the chart's roles lack something: %s", strings.Join(refused, "; "))
	}
	return err
}
