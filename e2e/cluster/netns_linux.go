package cluster

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// InNetns runs do on a thread that is in the network namespace of that path:
// sockets that do opens and programs that it starts belong there for good,
// goroutines that it starts do not. An empty path is where this process is.
func InNetns(path string, do func() error) error {
	done := make(chan error)
	go func() { done <- inNetns(path, do) }()
	return <-done
}

// inNetns runs do on the thread that calls it.
func inNetns(path string, do func() error) error {
	if path == "" {
		return do()
	}
	there, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening a network namespace: %w", err)
	}
	defer there.Close()
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("opening this thread's network namespace: %w", err)
	}
	defer here.Close()
	if err := setNetns(there); err != nil {
		return fmt.Errorf("entering the network namespace %s: %w", path, err)
	}
	err = do()
	// A thread that can't be brought back stays locked, and ends here.
	if setNetns(here) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

func setNetns(ns *os.File) error { return unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET) }
