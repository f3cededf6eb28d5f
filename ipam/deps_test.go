package ipam

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestImports keeps the package pure: the standard library and netipx, without
// what does I/O, tells the time or logs.
func TestImports(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := file.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if !mayImport(path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

func mayImport(path string) bool {
	switch first, _, _ := strings.Cut(path, "/"); {
	case path == "go4.org/netipx", path == "net/netip":
		return true
	case strings.Contains(first, "."):
		return false
	}
	for _, impure := range []string{"os", "io", "net", "log", "syscall", "context", "sync", "math/rand"} {
		if path == impure || strings.HasPrefix(path, impure+"/") {
			return false
		}
	}
	return true
}
