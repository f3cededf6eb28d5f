package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// docs/aws.md tells of every flag of the backend, and of none that there isn't.
func TestFlagsOfAWSAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "aws.md"))
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	defaults().addTo(flags)
	flags.VisitAll(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "aws-") && !strings.Contains(string(page), "\n| `--"+f.Name+"` |") {
			t.Errorf("the table of flags in docs/aws.md lacks --%s", f.Name)
		}
	})
	for _, name := range regexp.MustCompile(`--(aws-[a-z-]+)`).FindAllStringSubmatch(string(page), -1) {
		if flags.Lookup(name[1]) == nil {
			t.Errorf("docs/aws.md tells of --%s, which is no flag", name[1])
		}
	}
}
