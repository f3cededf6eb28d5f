// Package compile makes the one program that the image holds.
package compile

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"time"
)

// Package is the main package of the program, inside the sources.
const Package = "./cmd/berth"

// Program is a file and what Go stamped into it.
type Program struct {
	Path, Arch string
	Info       *debug.BuildInfo
}

// Environ is that of a go command that is to do the same on every machine.
func Environ(arch string) []string {
	return append(os.Environ(),
		// Empty would let the one in the user's configuration count.
		"GOFLAGS=-trimpath", "GOWORK=off",
		"CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0")
}

// Run compiles the sources in a folder to a file. What is in env counts more
// than Environ.
func Run(ctx context.Context, source, arch, to string, env ...string) (Program, error) {
	// Without debug information a stack trace still has names and lines.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=auto", "-ldflags=-s -w", "-o", to, Package)
	cmd.Dir, cmd.Env, cmd.Stderr = source, append(Environ(arch), env...), os.Stderr
	if err := cmd.Run(); err != nil {
		return Program{}, fmt.Errorf("compiling %s for %s: %w", Package, arch, err)
	}
	info, err := buildinfo.ReadFile(to)
	if err != nil {
		return Program{}, fmt.Errorf("reading what was compiled: %w", err)
	}
	return Program{Path: to, Arch: arch, Info: info}, nil
}

// Version is the release, or what Go derives from the commit; "devel" where
// the sources are under no version control.
func (p Program) Version() string {
	if v := p.Info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "devel"
}

// Commit is empty where the sources are under no version control.
func (p Program) Commit() string { return p.setting("vcs.revision") }

// Time is that of the commit, so that it is the same whenever it is built; the
// beginning of Unix time without one.
func (p Program) Time() time.Time {
	t, err := time.Parse(time.RFC3339, p.setting("vcs.time"))
	if err != nil {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC()
}

func (p Program) setting(key string) string {
	for _, s := range p.Info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
