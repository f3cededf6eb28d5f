package compile

import (
	"runtime/debug"
	"testing"
)

func TestStamps(t *testing.T) {
	for _, c := range []struct {
		name, main            string
		settings              map[string]string
		version, commit, time string
	}{
		{
			name: "of a tag", main: "v0.1.0", settings: map[string]string{"vcs.revision": "0123abc", "vcs.time": "2026-11-21T12:00:00+01:00"},
			version: "v0.1.0", commit: "0123abc", time: "2026-11-21 11:00:00 +0000 UTC",
		},
		{
			name: "edited", main: "v0.1.0+dirty", settings: map[string]string{"vcs.revision": "0123abc", "vcs.time": "2026-11-21T11:00:00Z"},
			version: "v0.1.0+dirty", commit: "0123abc", time: "2026-11-21 11:00:00 +0000 UTC",
		},
		{name: "without version control", main: "(devel)", version: "devel", time: "1970-01-01 00:00:00 +0000 UTC"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.main}}
		for key, value := range c.settings {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: key, Value: value})
		}
		p := Program{Info: info}
		if p.Version() != c.version || p.Commit() != c.commit || p.Time().String() != c.time {
			t.Errorf("%s: %s %q %v, want %s %q %s", c.name, p.Version(), p.Commit(), p.Time(), c.version, c.commit, c.time)
		}
	}
}
