package container

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// A program that was started as a container becomes it here, before it does
// anything of its own, so that this takes milliseconds.
func init() {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	runtime.LockOSThread()
	fmt.Fprintln(os.Stderr, "starting a container:", become(text))
	os.Exit(128)
}

// become returns only if it can't.
func become(text string) error {
	var s Spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	if err := s.furnish(); err != nil {
		return fmt.Errorf("preparing its file system: %w", err)
	}
	if err := s.drop(); err != nil {
		return fmt.Errorf("dropping privileges: %w", err)
	}
	return fmt.Errorf("running %s: %w", s.Args[0], unix.Exec(s.Args[0], s.Args, s.Env))
}

// furnish makes the container's file system, and enters it.
func (s *Spec) furnish() error {
	namespaces := unix.CLONE_NEWNS
	if s.Hostname != "" {
		namespaces |= unix.CLONE_NEWUTS
	}
	if err := unix.Unshare(namespaces); err != nil {
		return fmt.Errorf("making namespaces: %w", err)
	}
	if s.Hostname != "" {
		if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", s.Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	for _, m := range s.all() {
		if err := s.mount(m); err != nil {
			return fmt.Errorf("mounting %s: %w", m.Target, err)
		}
	}
	if s.ReadOnly {
		if err := unix.Mount("", s.Root, "", unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return err
		}
	}
	return pivot(s.Root)
}

// all are the mounts of the container, those that each has included.
func (s *Spec) all() (all []Mount) {
	for target, source := range s.Image {
		all = append(all, Mount{Source: source, Target: target, ReadOnly: true})
	}
	for _, path := range []string{"/lib", "/lib64", "/usr/lib"} {
		if _, err := os.Stat(path); err == nil && dynamic(s.Image[s.Args[0]]) {
			all = append(all, Mount{Source: path, Target: path, ReadOnly: true})
		}
	}
	all = append(all,
		Mount{Source: "/proc", Target: "/proc"},
		// A speaker must not count on sysctls that it can't set on a real node.
		Mount{Source: "/proc/sys", Target: "/proc/sys", ReadOnly: true},
	)
	for _, path := range []string{"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"} {
		all = append(all, Mount{Source: path, Target: path})
	}
	for _, path := range []string{"/etc/hosts", "/etc/resolv.conf"} {
		if _, err := os.Stat(path); err == nil {
			all = append(all, Mount{Source: path, Target: path, ReadOnly: true})
		}
	}
	return append(all, s.Mounts...)
}

func (s *Spec) mount(m Mount) error {
	at := filepath.Join(s.Root, m.Target)
	if m.Source == "" {
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		return unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
	}
	if err := makePlace(m.Source, at); err != nil {
		return err
	}
	if err := unix.Mount(m.Source, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if !m.ReadOnly {
		return nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(at, &fs); err != nil {
		return err
	}
	// Inside a user namespace what was set outside has to stay.
	const kept = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	return unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|uintptr(fs.Flags)&kept, "")
}

// makePlace makes the folder or file that a mount covers.
func makePlace(source, at string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.MkdirAll(at, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(at, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// pivot makes a folder be all that there is.
func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return err
	}
	// The old root ends up on top of the new one: pivot_root(2).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("entering it: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return unix.Chdir("/")
}
