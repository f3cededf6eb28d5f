package cluster

import "syscall"

// tied has a child die with its parent, however that ends, and keeps the
// terminal's Ctrl-C from it: the parent stops its children in order.
func tied() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
