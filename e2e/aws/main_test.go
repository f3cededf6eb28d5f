package aws

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// nodes is how many the cluster has.
const nodes = 3

// What all tests share.
var (
	// kube is the cluster. Its nodes are instances of every account; each test has
	// an account, namespaces and a class of its own.
	kube *cluster.Cluster
	// api is an administrator's access to it.
	api client.WithWatch
	// program is the berth-controller under test.
	program string
)

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetLogger(logr.Discard()) // else controller-runtime complains of having none
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		// Tests wait more than they work, and a small machine has other work.
		_ = flag.Set("test.parallel", "3")
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx := context.Background()
	var err error
	if program, err = check.Controller(); err != nil {
		return 0, err
	}
	if kube, err = cluster.Start(ctx, cluster.Options{Audit: true}); err != nil {
		return 0, err
	}
	defer kube.Stop()
	if api, err = populated(ctx, kube); err != nil {
		return 0, err
	}
	code := m.Run()
	return code, kube.NothingRefused()
}

// populated gives a cluster its nodes.
func populated(ctx context.Context, kube *cluster.Cluster) (client.WithWatch, error) {
	api, err := kube.Client()
	if err != nil {
		return nil, err
	}
	for i, node := range Open(ctx, "any", nodes, fakeaws.Options{}).Site.Nodes {
		if err := api.Create(ctx, Node(fmt.Sprintf("node-%d", i+1), node)); err != nil {
			return nil, err
		}
	}
	return api, nil
}
