// Package berth holds nothing but the test of who may know whom.
package berth

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/berth-lb/berth/"

// kubernetesTypes are values without clients or I/O.
var kubernetesTypes = []string{"k8s.io/api/", "k8s.io/apimachinery/", "k8s.io/utils/"}

// allowed says what each package may import besides the standard library, by
// prefix; docs/architecture.md says why. A package that is missing here fails
// the test, so that a new one is a decision.
var allowed = map[string][]string{
	"api/v1beta1": kubernetesTypes,
	"announce": append([]string{
		module + "trafficpolicy", module + "ipam", "go.universe.tf/metallb/api/", "go4.org/netipx",
	}, kubernetesTypes...),
	"ipam":          {"go4.org/netipx"},
	"trafficpolicy": kubernetesTypes,
	"providers":     kubernetesTypes,
	"providers/pool": append([]string{
		module + "providers", module + "ipam",
		"go.universe.tf/metallb/api/", "go4.org/netipx",
		"k8s.io/client-go/util/workqueue", "sigs.k8s.io/controller-runtime/", "github.com/prometheus/client_golang/", "github.com/go-logr/logr",
	}, kubernetesTypes...),
	"providers/cloud": append([]string{module + "providers", module + "trafficpolicy", "k8s.io/cloud-provider"}, kubernetesTypes...),
	"providers/fake":  append([]string{module + "providers", module + "trafficpolicy"}, kubernetesTypes...),
	"providers/aws": append([]string{
		module + "providers", module + "providers/aws/annotation", module + "providers/aws/plan", module + "trafficpolicy",
		"github.com/aws/", "github.com/go-logr/logr",
	}, kubernetesTypes...),
	"providers/aws/gates":      append([]string{module + "providers", "github.com/go-logr/logr"}, kubernetesTypes...),
	"providers/aws/annotation": append([]string{module + "providers"}, kubernetesTypes...),
	"providers/aws/plan": append([]string{
		module + "providers", module + "providers/aws/annotation", module + "trafficpolicy", "go4.org/netipx",
	}, kubernetesTypes...),
	"providers/aws/fakeaws": {"github.com/aws/"},
	"providers/conformance": append([]string{module + "providers", module + "trafficpolicy"}, kubernetesTypes...),
	"controller": append([]string{
		module + "providers", module + "trafficpolicy", module + "announce", module + "api/v1beta1", "go.universe.tf/metallb/api/",
		"sigs.k8s.io/controller-runtime/", "k8s.io/client-go/util/workqueue", "k8s.io/cloud-provider/service/helpers", "github.com/go-logr/logr",
	}, kubernetesTypes...),
	"speaker": append([]string{
		module + "announce", module + "trafficpolicy", module + "api/v1beta1", "go.universe.tf/metallb/api/",
		"sigs.k8s.io/controller-runtime/", "k8s.io/client-go/util/workqueue", "k8s.io/client-go/tools/cache", "github.com/prometheus/client_golang/", "github.com/go-logr/logr",
	}, kubernetesTypes...),
	"l2": {module + "bfd", module + "epoll", "golang.org/x/sys/", "golang.org/x/net/bpf", "github.com/vishvananda/netlink", "go4.org/netipx", "github.com/go-logr/logr"},
	"bgp": {module + "bfd", "github.com/osrg/gobgp/v4/pkg/packet/bgp", "github.com/mdlayher/ndp", "github.com/vishvananda/netlink",
		"golang.org/x/sys/", "golang.org/x/net/ipv6", "github.com/go-logr/logr"},
	"bfd":   {module + "epoll", "golang.org/x/sys/"},
	"epoll": {"golang.org/x/sys/"},
}

// modules are folders with a go.mod of their own, and cmd only wires.
var elsewhere = []string{"cmd", "e2e", "charts", "bin", ".git", ".cache", "docs", "image"}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			for _, skip := range elsewhere {
				if path == skip {
					return filepath.SkipDir
				}
			}
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || pkg == "." {
			return nil
		}
		seen[pkg] = true
		return checkFile(t, pkg, path)
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("%s has a rule and no code: remove the rule", pkg)
		}
	}
}

func checkFile(t *testing.T, pkg, path string) error {
	prefixes, known := allowed[pkg]
	if !known {
		t.Errorf("%s: package %s has no rule about its imports: decide on one", path, pkg)
		return nil
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly)
	if err != nil {
		return err
	}
	for _, spec := range file.Imports {
		name := strings.Trim(spec.Path.Value, `"`)
		if standard(name) || permitted(name, prefixes) {
			continue
		}
		t.Errorf("%s imports %s, which %s may not know", path, name, pkg)
	}
	return nil
}

// standard packages have no dot in the first part of their path.
func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".")
}

// permitted matches packages of this module exactly: no backend comes in
// behind the contract.
func permitted(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if name == p || !strings.HasPrefix(p, module) && strings.HasPrefix(name, strings.TrimSuffix(p, "/")+"/") {
			return true
		}
	}
	return false
}
