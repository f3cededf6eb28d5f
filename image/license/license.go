// Package license finds the licenses of all that a program is linked from, and
// holds them against those that are allowed.
package license

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Go is the path of the module that stands for Go's own packages.
const Go = "std"

// Module is one that code comes from.
type Module struct {
	Path, Version string
	// Texts are its licenses, and what they ask to be passed on.
	Texts []Text
}

// Text is one file of a module.
type Text struct {
	// Path is where it lies in the module.
	Path string
	// Names are the licenses in it, by their names in SPDX; empty if it only
	// goes with one.
	Names []string
	Body  string
}

// unlinked are texts about what never is in the program, by module.
var unlinked = map[string][]string{
	// Object files that only GOEXPERIMENT=boringcrypto links in.
	Go: {"src/crypto/internal/boring/LICENSE"},
}

// licenses and notices are how files are named that count.
var (
	licenses = regexp.MustCompile(`(?i)^(un)?licen[cs]e|^copying`)
	notices  = regexp.MustCompile(`(?i)^(notice|patents)`)
	code     = regexp.MustCompile(`\.(go|s|c|h)$`)
)

// Names are the licenses of the module, each once.
func (m Module) Names() []string {
	var names []string
	for _, t := range m.Texts {
		names = append(names, t.Names...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Problem says why the module can't be given out, or is nil.
func (m Module) Problem() error {
	var problems []error
	if len(m.Names()) == 0 {
		problems = append(problems, fmt.Errorf("%s %s has no license that is known", m.Path, m.Version))
	}
	for _, t := range m.Texts {
		if len(t.Names) == 0 && licenses.MatchString(filepath.Base(t.Path)) {
			problems = append(problems, fmt.Errorf("%s %s: %s is no license that is known", m.Path, m.Version, t.Path))
		}
		for _, name := range t.Names {
			if !slices.Contains(Allowed, name) {
				problems = append(problems, fmt.Errorf("%s %s: %s is %s; allowed are %s", m.Path, m.Version, t.Path, name, strings.Join(Allowed, ", ")))
			}
		}
	}
	return errors.Join(problems...)
}

// Collect returns the modules that a package in a folder is linked from, itself
// included, in order. env is that of the go command.
func Collect(ctx context.Context, folder, pkg string, env []string) ([]Module, error) {
	packages, err := list(ctx, folder, pkg, env)
	if err != nil {
		return nil, fmt.Errorf("listing what %s is made of: %w", pkg, err)
	}
	goRoot, goVersion, err := goIs(ctx, folder, env)
	if err != nil {
		return nil, fmt.Errorf("asking for Go's version: %w", err)
	}
	found := map[string]Module{}
	seen := map[string]bool{}
	for _, p := range packages {
		from := module{Path: Go, Version: goVersion, Dir: goRoot}
		if p.Module != nil {
			from = *p.Module
		}
		m := found[from.Path]
		m.Path, m.Version = from.Path, from.Version
		for _, dir := range upTo(from.Dir, p.Dir) {
			if seen[dir] {
				continue
			}
			seen[dir] = true
			texts, err := read(from, dir)
			if err != nil {
				return nil, fmt.Errorf("reading the licenses of %s: %w", from.Path, err)
			}
			m.Texts = append(m.Texts, texts...)
		}
		found[from.Path] = m
	}
	var modules []Module
	for _, path := range slices.Sorted(maps.Keys(found)) {
		m := found[path]
		slices.SortFunc(m.Texts, func(a, b Text) int { return strings.Compare(a.Path, b.Path) })
		modules = append(modules, m)
	}
	return modules, nil
}

// linked and module are a package and its module as the go command describes
// them.
type linked struct {
	Dir    string
	Module *module
}

type module struct{ Path, Version, Dir string }

func list(ctx context.Context, folder, pkg string, env []string) ([]linked, error) {
	out, err := run(ctx, folder, env, "list", "-deps", "-json=Dir,Module", pkg)
	if err != nil {
		return nil, err
	}
	var all []linked
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p linked
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

func goIs(ctx context.Context, folder string, env []string) (root, version string, err error) {
	out, err := run(ctx, folder, env, "env", "GOROOT", "GOVERSION")
	if err != nil {
		return "", "", err
	}
	root, version, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return root, version, nil
}

func run(ctx context.Context, folder string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env, cmd.Stderr = folder, env, os.Stderr
	return cmd.Output()
}

// upTo returns the folder and those around it, as far as the root.
func upTo(root, dir string) []string {
	dirs := []string{dir}
	for dir != root && len(dir) > len(root) {
		dir = filepath.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

// read returns the texts in one folder of a module.
func read(from module, dir string) ([]Text, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var texts []Text
	for _, e := range entries {
		license := licenses.MatchString(e.Name())
		if e.IsDir() || code.MatchString(e.Name()) || !license && !notices.MatchString(e.Name()) {
			continue
		}
		path, err := filepath.Rel(from.Dir, filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		path = filepath.ToSlash(path)
		if slices.Contains(unlinked[from.Path], path) {
			continue
		}
		body, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		text := Text{Path: path, Body: string(body)}
		if license {
			text.Names = Recognize(text.Body)
		}
		texts = append(texts, text)
	}
	return texts, nil
}
