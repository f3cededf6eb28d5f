//go:build unix && !linux

package cluster

import "syscall"

// tied keeps the terminal's Ctrl-C from a child: the parent stops its children
// in order. Only Linux can have a child die with its parent.
func tied() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
