// Package version says which build a command is.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Build is what a command was made from.
type Build struct {
	// Version is the release, a version that Go derives from the commit, or
	// "devel" where the build was not told of either.
	Version string
	// Commit and Time are those of the commit, empty where not known.
	Commit, Time string
	// Modified is set where the sources were not those of the commit.
	Modified bool
	Go       string
}

// Get returns what this command was made from, as the go command stamped it:
// nothing has to be passed to the linker, and nobody can forget to.
func Get() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return from(info)
}

func from(info *debug.BuildInfo) Build {
	b := Build{Version: info.Main.Version, Go: cmp.Or(info.GoVersion, runtime.Version())}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String is one line for people.
func (b Build) String() string {
	made := fmt.Sprintf("%s, %s/%s", b.Go, runtime.GOOS, runtime.GOARCH)
	if b.Commit == "" {
		return b.Version + " (" + made + ")"
	}
	modified := ""
	if b.Modified {
		modified = ", modified"
	}
	return fmt.Sprintf("%s (commit %s of %s%s, %s)", b.Version, b.Commit, b.Time, modified, made)
}
