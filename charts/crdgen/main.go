// Command crdgen writes the CustomResourceDefinitions of the Helm chart: it derives them from
// MetalLB's Go types and this project's own, and adds what is asked of one object beyond them.
//
//	crdgen [-check] directory
//
// It runs in its own folder, because MetalLB's types are found through this module's go.mod, and the project's own from here.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "change nothing; exit 1 when the files in the directory are out of date")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: crdgen [-check] directory")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *check); err != nil {
		fmt.Fprintln(os.Stderr, "crdgen:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	files, err := generate(kinds)
	if err != nil {
		return err
	}
	changed, err := differing(dir, files)
	if err != nil {
		return err
	}
	left, err := leftovers(dir, files)
	if err != nil {
		return err
	}
	if !check {
		return write(dir, changed, left)
	}
	if len(changed)+len(left) == 0 {
		return nil
	}
	var stale []string
	for _, f := range changed {
		stale = append(stale, f.name)
	}
	for _, name := range left {
		stale = append(stale, name+" (of a kind that is not in the table)")
	}
	return fmt.Errorf("out of date in %s: %s; run: make generate", dir, strings.Join(stale, ", "))
}

// differing returns those of files that dir lacks or has otherwise.
func differing(dir string, files []file) ([]file, error) {
	var changed []file
	for _, f := range files {
		have, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("reading what the chart holds: %w", err)
		}
		if err != nil || !bytes.Equal(have, f.text) {
			changed = append(changed, f)
		}
	}
	return changed, nil
}

func write(dir string, changed []file, left []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of the CRDs: %w", err)
	}
	for _, f := range changed {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.text, 0o644); err != nil {
			return fmt.Errorf("writing a CRD: %w", err)
		}
	}
	for _, name := range left {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("removing the CRD of a kind that is not in the table: %w", err)
		}
	}
	return nil
}

// leftovers names what this program once made in dir, told by the first line, and would not make now.
func leftovers(dir string, files []file) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var left []string
	for _, path := range paths {
		name := filepath.Base(path)
		if slices.ContainsFunc(files, func(f file) bool { return f.name == name }) {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading what the chart holds: %w", err)
		}
		if bytes.HasPrefix(text, []byte(headerStart)) {
			left = append(left, name)
		}
	}
	return left, nil
}
