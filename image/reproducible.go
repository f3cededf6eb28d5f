package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// reproducible is the command of that name. The second build shares nothing with
// the first but the commit and Go itself: another path, and a cache of its own.
func reproducible(ctx context.Context, o options) error {
	temporary, err := os.MkdirTemp("", "berth-reproducible-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(temporary) }()

	out := filepath.Join(temporary, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}

	var digests [2]v1.Hash
	for i, place := range []struct {
		folder string
		env    []string
	}{
		{folder: "a"},
		{folder: filepath.Join("another", "and", "longer"), env: []string{"GOCACHE=" + filepath.Join(temporary, "cache")}},
	} {
		clone := filepath.Join(temporary, place.folder)
		if text, err := exec.CommandContext(ctx, "git", "clone", "--quiet", o.source, clone).CombinedOutput(); err != nil {
			return fmt.Errorf("cloning %s: %w\n%s", o.source, err, text)
		}
		b, err := makeBuild(ctx, clone, o.archs, out, place.env...)
		if err != nil {
			return err
		}
		if digests[i], err = b.index.Digest(); err != nil {
			return err
		}
		fmt.Printf("%s  Berth %s, commit %s, %s\n", digests[i], b.programs[0].Version(), b.programs[0].Commit(), b.programs[0].Info.GoVersion)
	}
	if digests[0] != digests[1] {
		return fmt.Errorf("two builds of one commit differ: %s and %s", digests[0], digests[1])
	}
	return nil
}
