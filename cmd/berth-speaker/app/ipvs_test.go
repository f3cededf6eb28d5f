package app

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/berth-lb/berth/speaker"
)

func TestIPVS(t *testing.T) {
	for _, tc := range []struct {
		reason   string
		settings map[string]string
		want     speaker.IPVS
	}{
		{"another mode", map[string]string{"all": "0", "eth0": "0"}, speaker.IPVS{}},
		{"without strictARP", map[string]string{"all": "0", "eth0": "0", "eth1": "0", "kube-ipvs0": "0"}, speaker.IPVS{Used: true, Answering: []string{"eth0", "eth1"}}},
		{"with it", map[string]string{"all": "1", "eth0": "0", "eth1": "0", "kube-ipvs0": "0"}, speaker.IPVS{Used: true}},
		{"somebody set it for an interface", map[string]string{"all": "0", "eth0": "2", "eth1": "0", "kube-ipvs0": "0"}, speaker.IPVS{Used: true, Answering: []string{"eth1"}}},
		{"an interface has just gone", map[string]string{"all": "0", "eth0": "0", "kube-ipvs0": "0"}, speaker.IPVS{Used: true, Answering: []string{"eth0"}}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			dir := t.TempDir()
			for name, value := range tc.settings {
				if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name, "arp_ignore"), []byte(value+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := ipvs(dir, []string{"eth0", "eth1"}); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}
