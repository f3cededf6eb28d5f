// Command kube is a Kubernetes control plane in one file: it acts as etcd,
// kube-apiserver, kube-controller-manager, kube-proxy or kubectl, by the name
// it is called by or, failing that, by its first argument.
//
// The lab and the demo run the real thing and need it quickly and without a
// download; one binary is linked once and shares its pages.
//
// It is a module of its own, so that no change of what the product depends on
// has all of Kubernetes compiled anew. `make kube` builds it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
)

var acts = map[string]func(args []string) int{
	"etcd":                    runEtcd,
	"kube-apiserver":          run(apiserver.NewAPIServerCommand),
	"kube-controller-manager": run(controllermanager.NewControllerManagerCommand),
	"kube-proxy":              run(proxy.NewProxyCommand),
	"kubectl":                 run(kubectl.NewDefaultKubectlCommand),
}

func main() {
	args := os.Args
	act, ok := acts[filepath.Base(args[0])]
	if !ok && len(args) > 1 {
		args = args[1:]
		act, ok = acts[args[0]]
	}
	if !ok {
		fmt.Fprintf(os.Stderr, "usage: kube ACT [flags]\nACT is one of: %s\n", strings.Join(names(), ", "))
		os.Exit(2)
	}
	os.Exit(act(args))
}

func names() []string {
	var out []string
	for name := range acts {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// run hands the command its own name as argument zero: kubectl and the
// components read os.Args themselves before cobra does.
func run(command func() *cobra.Command) func([]string) int {
	return func(args []string) int {
		os.Args = args
		return cli.Run(command())
	}
}

func runEtcd(args []string) int {
	etcdmain.Main(args)
	return 0
}
