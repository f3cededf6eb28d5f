package cluster

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Process is a program that was started, and that ends with this process at
// the latest.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // set once done is closed
}

// spec is what to start: a program that writes all it says to the file log.
type spec struct {
	name, dir, log string
	binary         string
	args, env      []string
	netns          string
}

// Program is what StartProgram starts.
type Program struct {
	// Name is what errors call it; that of the binary if empty.
	Name string
	// Binary is a path, and Args what follows it.
	Binary string
	Args   []string
	// Env adds to the environment of this process, as KEY=value.
	Env []string
	// Log is the file that all it says is added to.
	Log string
	// Netns is the path of the network namespace to run in; that of this
	// process if empty.
	Netns string
}

// StartProgram runs a program that needs no control plane, until it exits, is
// killed, or ctx ends.
func StartProgram(ctx context.Context, p Program) (*Process, error) {
	return start(ctx, spec{
		name: cmp.Or(p.Name, filepath.Base(p.Binary)), log: p.Log,
		binary: p.Binary, args: p.Args, env: p.Env,
		netns: p.Netns,
	})
}

// start runs a program until it exits, is killed, or ctx ends.
func start(ctx context.Context, s spec) (*Process, error) {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.name, err)
	}
	cmd := exec.CommandContext(ctx, s.binary, s.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.SysProcAttr = tied()
	if len(s.env) > 0 {
		cmd.Env = append(os.Environ(), s.env...)
	}

	p := &Process{name: s.name, log: s.log, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// A child that is tied to its parent is tied to the thread that
		// started it: it has to last as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := inNetns(s.netns, cmd.Start)
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.name, err)
	}
	return p, nil
}

// Kill ends the process as a crash would, and returns when it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Term asks the process to stop.
func (p *Process) Term() { p.Signal(syscall.SIGTERM) }

// Signal sends sig to the process; one that is gone doesn't mind.
func (p *Process) Signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }

// Done is closed when the process is gone.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait returns when the process is gone: nil if it exited with status 0.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s to end: %w", p.name, context.Cause(ctx))
	}
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// LogFile is where the process writes all that it says.
func (p *Process) LogFile() string { return p.log }

// Tail returns the last lines of the log.
func (p *Process) Tail(lines int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
