//go:build linux

// Package container runs a program as a container runtime would, without an
// image to pull: in a file system of its own, as another user, with fewer
// capabilities.
//
// What a runtime does besides is left out: PIDs are the machine's, there are no
// cgroups, and no seccomp filter but a short list of what none lets pass.
package container

import (
	"encoding/json"
	"fmt"
)

// variable is by which a program is told what container to become. It is the
// same program: see init.
const variable = "BERTH_LAB_CONTAINER"

// Spec is a container.
type Spec struct {
	// Root is an empty folder to mount the container's file system on. Nobody
	// else sees what is in there.
	Root string
	// Image is what the file system holds: where it is on this machine, by path.
	// Programs that aren't static find the machine's libraries.
	Image map[string]string
	// Mounts come on top, in this order.
	Mounts []Mount
	// ReadOnly has nothing be written but to Mounts.
	ReadOnly bool

	// Args begin with the path of the program.
	Args []string
	// Env is all of the environment, as KEY=value.
	Env []string
	// Hostname is the machine's if empty.
	Hostname string

	User, Group int
	// Capabilities are all that the program can ever have, such as NET_RAW.
	Capabilities []string
	// NoNewPrivileges has no program that it runs gain any.
	NoNewPrivileges bool
	// Seccomp refuses some of what the default profile of container runtimes
	// does.
	Seccomp bool
}

// Mount is a folder or file that is not of the image.
type Mount struct {
	// Source is on this machine; a new folder in memory if empty.
	Source, Target string
	ReadOnly       bool
}

// Command is how to start the container: the program that runs now, told to
// become it. The process keeps its number, network and output, and dies with
// its parent as it would otherwise.
func (s Spec) Command() (binary string, env []string, err error) {
	for _, name := range s.Capabilities {
		if _, ok := capabilities[name]; !ok {
			return "", nil, fmt.Errorf("the capability %q is not known", name)
		}
	}
	text, err := json.Marshal(s)
	return "/proc/self/exe", []string{variable + "=" + string(text)}, err
}
