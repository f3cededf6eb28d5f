//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-lb/berth/e2e/cluster"
)

// Environment variables by which a lab tells a copy of its own program what to
// be.
const (
	podVariable    = "BERTH_LAB_POD"
	insideVariable = "BERTH_LAB_INSIDE"
)

// ErrUnavailable is what keeps a lab from starting on this machine: a
// privilege or a tool is missing.
var ErrUnavailable = errors.New("the lab can't run here")

// refused is why this process may not make network namespaces.
var refused error

// Main is the hook that a program with a lab calls before all else. Where the
// lab started the program as the server of a pod, it does not return. For a
// plain user it runs the program again in a user namespace and exits as that
// one does; if the kernel refuses, it returns, and Start says why.
func Main() {
	if name := os.Getenv(podVariable); name != "" {
		fmt.Fprintln(os.Stderr, servePod(name))
		os.Exit(1)
	}
	if os.Getenv(insideVariable) != "" {
		os.Unsetenv(insideVariable)
		refused = furnish()
		return
	}
	if refused = mayMakeNamespaces(); refused == nil {
		return
	}
	code, err := again()
	if err == nil {
		os.Exit(code)
	}
	refused = errors.Join(refused, err)
}

func mayMakeNamespaces() error {
	return cluster.InNetns("/proc/self/ns/net", func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		return nil
	})
}

// again runs this program as root of a user namespace, with network and mounts
// of its own, and returns its exit status.
func again() (int, error) {
	// The child dies with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Setpgid:     true,
		Pdeathsig:   syscall.SIGKILL,
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("making a user namespace: %w", err)
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// furnish gives new namespaces what programs expect: loopback, and a folder for
// the names of network namespaces.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	folder := netnsDir
	if _, err := os.Stat(folder); err != nil {
		folder = "/run"
	}
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting a folder for network namespaces: %w", err)
	}
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	return commands{"link set dev lo up"}.run()
}

// available returns nil where a lab can run, or one line that wraps
// ErrUnavailable and says what to do.
func available(tools ...string) error {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: %s is missing; run e2e/prepare.sh lab, which says how to get it", ErrUnavailable, tool)
		}
	}
	if err := mayMakeNamespaces(); err != nil {
		if refused != nil {
			err = refused
		}
		return fmt.Errorf("%w: run it as root, or let users make user namespaces (%s)", ErrUnavailable, oneLine(err))
	}
	if refused != nil {
		return fmt.Errorf("%w: run it as root, or let user namespaces mount and configure (%s)", ErrUnavailable, oneLine(refused))
	}
	return nil
}
