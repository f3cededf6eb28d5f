package app

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		reason string
		change func(*options)
		want   string // in the message; empty for none
	}{
		{"as shipped", func(*options) {}, ""},
		{"no name", func(o *options) { o.nodeName = "" }, "--node-name"},
		{"no namespace", func(o *options) { o.namespace = "" }, "--namespace"},
		{"no regular expression", func(o *options) { o.excluded = "eth(" }, `--exclude-interfaces: "eth("`},
		{"no port", func(o *options) { o.livenessPort = 0 }, "--liveness-port: 0; allowed are 1 to 65535"},
		{"no health checks", func(o *options) { o.healthPort = 0 }, ""},
		{"no such port", func(o *options) { o.healthPort = 70000 }, "--kube-proxy-health-port: 70000"},
		{"one lost packet would do", func(o *options) { o.livenessMultiplier = 1 }, "--liveness-multiplier: 1"},
		{"too fast", func(o *options) { o.livenessInterval = time.Millisecond }, "--liveness-interval: 1ms"},
		{"standing in for no time", func(o *options) { o.standInLimit = 0 }, "--stand-in-limit"},
		{"not standing in", func(o *options) { o.standIn, o.standInLimit = false, 0 }, ""},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			o := defaults()
			o.nodeName = "node-a"
			tc.change(o)
			err := o.validate()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestUsableInterfaces(t *testing.T) {
	o := defaults()
	o.nodeName = "node-a"
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"eth0": true, "enp3s0": true, "bond0.100": true, "local0": true, "br-lan": true,
		"lo": false, "docker0": false, "veth12ab": false, "cali123": false, "kube-ipvs0": false, "cilium_host": false, "nodelocaldns": false,
	} {
		if o.usable(name) != want {
			t.Errorf("%s: want %t", name, want)
		}
	}
}

func TestOnlyOneSpeakerOnANode(t *testing.T) {
	short := fmt.Sprintf("test-%d", os.Getpid())
	for _, node := range []string{short, short + strings.Repeat(".a", 100)} {
		testOnlyOne(t, node)
	}
}

func testOnlyOne(t *testing.T, node string) {
	t.Helper()
	first, err := onlyOne(node)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := onlyOne(node); err == nil || !strings.Contains(err.Error(), "another speaker runs on node "+node) {
		t.Errorf("the second gets %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := onlyOne(node)
	if err != nil {
		t.Fatalf("once the first is gone: %v", err)
	}
	_ = again.Close()
}
