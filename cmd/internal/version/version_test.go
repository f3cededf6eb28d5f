package version

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestString(t *testing.T) {
	commit := []debug.BuildSetting{
		{Key: "GOARCH", Value: "not looked at"},
		{Key: "vcs.revision", Value: "0123abc"},
		{Key: "vcs.time", Value: "2026-11-21T13:11:06Z"},
	}
	modified := append(commit[:3:3], debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	platform := runtime.GOOS + "/" + runtime.GOARCH
	for _, c := range []struct {
		name, version string
		settings      []debug.BuildSetting
		want          string
	}{
		{"a release", "v0.1.0", commit, "v0.1.0 (commit 0123abc of 2026-11-21T13:11:06Z, go1.26.8, " + platform + ")"},
		{"sources that were edited", "v0.1.0+dirty", modified, "v0.1.0+dirty (commit 0123abc of 2026-11-21T13:11:06Z, modified, go1.26.8, " + platform + ")"},
		{"a build without version control", "(devel)", nil, "devel (go1.26.8, " + platform + ")"},
		{"a test, which has no version at all", "", nil, "devel (go1.26.8, " + platform + ")"},
	} {
		info := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: c.version}, Settings: c.settings}
		if got := from(info).String(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := Get().Go; got != runtime.Version() {
		t.Errorf("this test was made by %q, want %q", got, runtime.Version())
	}
}
