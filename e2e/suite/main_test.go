package suite

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

// What all tests share.
var (
	// kube is the cluster. Each test has its own namespaces and its own class.
	kube *cluster.Cluster
	// api is an administrator's access to it.
	api client.WithWatch
	// root is the repository's top folder.
	root string
	// program is the berth-controller under test.
	program string
)

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetLogger(logr.Discard()) // else controller-runtime complains of having none
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		// Tests wait more than they work.
		_ = flag.Set("test.parallel", "4")
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
	if root, err = cluster.Root(); err != nil {
		return 0, err
	}
	if program, err = check.Controller(); err != nil {
		return 0, err
	}
	kube, err = cluster.Start(ctx, cluster.Options{ControllerManager: true, Audit: true})
	if err != nil {
		return 0, err
	}
	defer kube.Stop()
	if err := kube.Install(ctx, filepath.Join(root, "charts", "berth", "crds")); err != nil {
		return 0, err
	}
	if api, err = kube.Client(); err != nil {
		return 0, err
	}
	if err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "berth-system"}}); err != nil {
		return 0, err
	}
	code := m.Run()
	return code, kube.NothingRefused()
}
