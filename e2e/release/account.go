package release

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/berth-lb/berth/e2e/cluster"
)

// roles are the kinds by which the chart says what a component may do.
var roles = []string{"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}

// Account gives the access that the controller, or the speaker, of a release in
// that namespace has, for an hour. It makes the ServiceAccount and its roles, as the
// chart has them with these arguments of helm, and nothing else of the chart.
func Account(ctx context.Context, kube *cluster.Cluster, namespace, component string, args ...string) (*rest.Config, error) {
	// Roles of all namespaces have names that releases must not share.
	stream, err := Render(ctx, append(args, "--namespace="+namespace, "--set=fullnameOverride="+namespace)...)
	if err != nil {
		return nil, err
	}
	for document := range bytes.SplitSeq(stream, []byte("\n---\n")) {
		objects, err := cluster.Decode(document)
		if err != nil {
			return nil, err
		}
		if len(objects) != 1 || !slices.Contains(roles, objects[0].GetKind()) || !strings.HasSuffix(objects[0].GetName(), "-"+component) {
			continue
		}
		if _, err := kube.Apply(ctx, document); err != nil {
			return nil, fmt.Errorf("giving the %s in %s its permissions: %w", component, namespace, err)
		}
	}
	return kube.ServiceAccountConfig(ctx, namespace, namespace+"-"+component)
}
