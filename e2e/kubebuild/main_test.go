package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const hello = "package main\n\nfunc main() { println(%q) }\n"

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// A second build does nothing, and one after a change does.
func TestBuildsOnlyWhenNeeded(t *testing.T) {
	dir, binary := t.TempDir(), filepath.Join(t.TempDir(), "out")
	writeFile(t, dir, "go.mod", "module example.com/hello\n\ngo 1.26\n")
	writeFile(t, dir, "go.sum", "")
	writeFile(t, dir, "main.go", strings.ReplaceAll(hello, "%q", `"one"`))
	if err := ensure(dir, binary); err != nil {
		t.Fatal(err)
	}
	first := modified(t, binary+".stamp")

	if err := ensure(dir, binary); err != nil {
		t.Fatal(err)
	}
	if !modified(t, binary+".stamp").Equal(first) {
		t.Error("nothing changed, and it was built again")
	}

	writeFile(t, dir, "main.go", strings.ReplaceAll(hello, "%q", `"two"`))
	if err := ensure(dir, binary); err != nil {
		t.Fatal(err)
	}
	if modified(t, binary+".stamp").Equal(first) {
		t.Error("the source changed, and it was not built again")
	}

	writeFile(t, dir, "main.go", "package main\n\nfunc main() { nonsense() }\n")
	if err := ensure(dir, binary); err == nil || !strings.Contains(err.Error(), "undefined: nonsense") {
		t.Errorf("a source that does not compile: %v", err)
	}
}

func TestProgress(t *testing.T) {
	var out, said bytes.Buffer
	p := &progress{out: &out, every: time.Hour, began: time.Now(), todo: 3}
	lines := make(chan string, 4)
	for _, line := range []string{"k8s.io/api/core/v1", "unicode/utf8", "# example.com/x", "x.go:3:1: undefined: y"} {
		lines <- line
	}
	close(lines)
	p.run(lines, &said)
	p.show()
	if want := "compiled 2 of 3 packages, 0s\n"; out.String() != want {
		t.Errorf("it shows %q, want %q", out.String(), want)
	}
	if want := "# example.com/x\nx.go:3:1: undefined: y\n"; said.String() != want {
		t.Errorf("the compiler said %q, want %q", said.String(), want)
	}
}
