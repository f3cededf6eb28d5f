package app

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-lb/berth/speaker"
)

// conf is where the kernel keeps its settings for interfaces, those of the
// network namespace of whoever looks.
const conf = "/proc/sys/net/ipv4/conf"

// ipvs says what kube-proxy makes of this node by IPVS, by the settings in dir.
func ipvs(dir string, interfaces []string) speaker.IPVS {
	if _, err := os.Stat(filepath.Join(dir, "kube-ipvs0")); err != nil {
		return speaker.IPVS{}
	}
	i := speaker.IPVS{Used: true}
	// The higher one of the two counts.
	if !answersForAll(dir, "all") {
		return i
	}
	for _, name := range interfaces {
		if answersForAll(dir, name) {
			i.Answering = append(i.Answering, name)
		}
	}
	return i
}

// answersForAll says whether the kernel answers on an interface for addresses of
// others. What can't be read is not complained about.
func answersForAll(dir, name string) bool {
	value, err := os.ReadFile(filepath.Join(dir, name, "arp_ignore"))
	return err == nil && strings.TrimSpace(string(value)) == "0"
}
