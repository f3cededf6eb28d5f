//go:build linux

package lab

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/berth-lb/berth/e2e/cluster"
)

// Program is one that runs on a node, and that can be started again after it
// ended.
type Program struct {
	spec cluster.Program
	mu   sync.Mutex
	proc *cluster.Process
}

var logs atomic.Int64

// Run starts a program in the node's network namespace. It ends with the lab
// at the latest; a power cut kills it, and it is there again when the power
// is. Where its arguments name a kubeconfig, any of the cluster will do.
func (n *Node) Run(binary string, args ...string) (*Program, error) {
	return n.RunProgram(filepath.Base(binary), cluster.Program{Binary: binary, Args: args})
}

// RunProgram is Run of a program with an environment of its own. The log is
// called after name.
func (n *Node) RunProgram(name string, program cluster.Program) (*Program, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dark {
		return nil, fmt.Errorf("running %s on %s: %w", name, n.Name, errNoPower)
	}
	p, err := n.lab.runProgram(n.Name+"-"+name, n.ns, program)
	if err != nil {
		return nil, fmt.Errorf("on %s: %w", n.Name, err)
	}
	n.programs = append(n.programs, p)
	return p, nil
}

// run starts a program in a namespace, with a log called after owner and it.
func (l *Lab) run(owner string, ns namespace, env []string, binary string, args ...string) (*Program, error) {
	return l.runProgram(owner+"-"+filepath.Base(binary), ns, cluster.Program{Binary: binary, Args: args, Env: env})
}

func (l *Lab) runProgram(name string, ns namespace, program cluster.Program) (*Program, error) {
	if filepath.Base(program.Binary) != program.Binary {
		path, err := filepath.Abs(program.Binary)
		if err != nil {
			return nil, err
		}
		program.Binary = path
	}
	program.Log = filepath.Join(l.dir, fmt.Sprintf("%s-%d.log", name, logs.Add(1)))
	program.Netns = ns.path()
	p := &Program{spec: program}
	return p, p.Start()
}

// Start starts the program again after it ended. One that runs is left alone.
func (p *Program) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc != nil && !ended(p.proc) {
		return nil
	}
	proc, err := cluster.StartProgram(context.Background(), p.spec)
	if err == nil {
		p.proc = proc
	}
	return err
}

func ended(proc *cluster.Process) bool {
	select {
	case <-proc.Done():
		return true
	default:
		return false
	}
}

func (p *Program) process() *cluster.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proc
}

// Running tells whether the program has not ended. One that is paused runs.
func (p *Program) Running() bool { return !ended(p.process()) }

// Stop asks the program to end by SIGTERM, and returns when it has: nil if it
// exited with status 0.
func (p *Program) Stop(ctx context.Context) error {
	proc := p.process()
	proc.Term()
	return proc.Wait(ctx)
}

// Wait returns when the program, as started last, is gone: nil if it exited with
// status 0.
func (p *Program) Wait(ctx context.Context) error { return p.process().Wait(ctx) }

// Term asks the program to end by SIGTERM.
func (p *Program) Term() { p.process().Term() }

// Kill ends the program by SIGKILL, and returns when it is gone.
func (p *Program) Kill() { p.process().Kill() }

// Pause stops the program where it is, by SIGSTOP, until Resume.
func (p *Program) Pause() { p.process().Signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (p *Program) Resume() { p.process().Signal(syscall.SIGCONT) }

// Done is closed when the program, as started last, is gone.
func (p *Program) Done() <-chan struct{} { return p.process().Done() }

// PID is the number of the process that was started last.
func (p *Program) PID() int { return p.process().PID() }

// LogFile is where the program writes all that it says, in all its lives.
func (p *Program) LogFile() string { return p.spec.Log }

// Tail returns the last lines of the log.
func (p *Program) Tail(lines int) string { return p.process().Tail(lines) }

// running are those of the programs that have not ended.
func running(programs []*Program) []*Program {
	return slices.DeleteFunc(slices.Clone(programs), func(p *Program) bool { return !p.Running() })
}
