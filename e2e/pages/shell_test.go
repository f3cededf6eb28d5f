//go:build linux

package pages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/page"
	"github.com/berth-lb/berth/e2e/release"
)

// shell runs commands of a page as its reader would, in a folder of its own.
type shell struct {
	t      *testing.T
	dir    string
	env    []string
	page   string
	blocks []page.Block
}

// helmScript takes charts from this machine instead of their registries, from where
// they come as packages.
const helmScript = `#!/bin/sh
if [ "$1" = pull ]; then
	[ "$2 $3 $5 $6" = 'oci://ghcr.io/berth-lb/charts/berth --version --untar --untardir' ] || exit 1
	'%[3]s' package '%[2]s' --version "$4" --destination .pulled >.pulled.log
	mkdir "$7" && exec tar -xzf ".pulled/berth-$4.tgz" -C "$7"
fi
for word; do
	shift
	case $word in
	metallb/metallb) word='%[1]s' ;;
	oci://ghcr.io/berth-lb/charts/berth) word='%[2]s' ;;
	esac
	set -- "$@" "$word"
done
exec '%[3]s' "$@"
`

func newShell(t *testing.T, kube *cluster.Cluster, name string) *shell {
	t.Helper()
	berth, err := release.Chart()
	check.Must(t, err)
	helm, err := cluster.Built("helm")
	check.Must(t, err)
	kubernetes, err := cluster.Built("kube")
	check.Must(t, err)
	blocks, err := page.Read(name)
	check.Must(t, err)
	s := &shell{t: t, dir: t.TempDir(), page: name, blocks: blocks}
	s.script("helm", fmt.Sprintf(helmScript, metallbChart(t), berth, helm))
	s.script("kubectl", fmt.Sprintf("#!/bin/sh\nexec '%s' kubectl \"$@\"\n", kubernetes))
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "HELM_") {
			s.env = append(s.env, variable)
		}
	}
	s.env = append(s.env, "KUBECONFIG="+kube.Kubeconfig(), "PATH="+s.dir+":"+os.Getenv("PATH"),
		"HELM_CACHE_HOME="+s.dir, "HELM_CONFIG_HOME="+s.dir, "HELM_DATA_HOME="+s.dir)
	return s
}

// metallbChart is the chart in the module of MetalLB that e2e/go.mod names.
func metallbChart(t *testing.T) string {
	t.Helper()
	module, err := release.MetalLB(t.Context())
	check.Must(t, err)
	return filepath.Join(module, "charts", "metallb")
}

func (s *shell) script(name, text string) {
	s.t.Helper()
	check.Must(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o700))
}

// run runs commands until one fails, which fails the test, and returns what they
// printed.
func (s *shell) run(commands string) string {
	s.t.Helper()
	out, err := s.try(commands)
	if err != nil {
		s.t.Fatalf("%v:\n%s\n%s", err, commands, out)
	}
	return out
}

func (s *shell) try(commands string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), "sh", "-eu", "-c", commands)
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// under are the blocks of a language that the page has under a heading.
func (s *shell) under(heading, language string) []page.Block {
	s.t.Helper()
	var found []page.Block
	for _, b := range s.blocks {
		if b.Under(heading) && b.Language == language {
			found = append(found, b)
		}
	}
	if len(found) == 0 {
		s.t.Fatalf("docs/%s has no %s under %q", s.page, language, heading)
	}
	return found
}

// do runs the commands of a block.
func (s *shell) do(b page.Block) string {
	s.t.Helper()
	s.t.Logf("docs/%s, line %d", s.page, b.Line)
	return s.run(b.Text)
}

// does runs all commands that the page gives under a heading.
func (s *shell) does(heading string) string {
	s.t.Helper()
	var out strings.Builder
	for _, b := range s.under(heading, "sh") {
		out.WriteString(s.do(b))
	}
	return out.String()
}

// applies applies the objects that the page gives under a heading.
func (s *shell) applies(heading string) {
	s.t.Helper()
	for _, b := range s.under(heading, "yaml") {
		s.t.Logf("docs/%s, line %d", s.page, b.Line)
		s.write("objects.yaml", b.Text)
		s.run("kubectl apply --validate=strict -f objects.yaml")
	}
}

// write has a file in the reader's folder.
func (s *shell) write(name, text string) {
	s.t.Helper()
	check.Must(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
}
