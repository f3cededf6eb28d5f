package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what the kernel counted for a process.
type usage struct {
	at  time.Time
	cpu time.Duration
	// switches are how often one of its threads gave the processor back by
	// itself: each is followed by a wake-up.
	switches int64
	// reads are system calls that read.
	reads int64
}

// clockTick is the unit of CPU times in /proc (USER_HZ, on all platforms of Go).
const clockTick = 10 * time.Millisecond

// used reads what a process has used so far (proc(5)).
func used(pid int) (usage, error) {
	u := usage{at: time.Now()}
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, err
	}
	// The name, in parentheses, may have spaces.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, field := range fields[11:13] { // utime and stime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return u, fmt.Errorf("reading %sstat: %w", dir, err)
		}
		u.cpu += time.Duration(ticks) * clockTick
	}
	if u.reads, err = counter(dir+"io", "syscr:"); err != nil {
		return u, err
	}
	tasks, err := os.ReadDir(dir + "task")
	if err != nil {
		return u, err
	}
	for _, task := range tasks {
		n, err := counter(dir+"task/"+task.Name()+"/status", "voluntary_ctxt_switches:")
		if err != nil {
			continue // a thread that ended meanwhile
		}
		u.switches += n
	}
	return u, nil
}

// counter reads a number from a file of names and numbers.
func counter(path, name string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			return strconv.ParseInt(fields[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s does not tell %s", path, name)
}

// since is the difference between two readings.
func (u usage) since(before usage) spent {
	return spent{u.at.Sub(before.at), u.cpu - before.cpu, u.switches - before.switches, u.reads - before.reads}
}

// spent is what a process used in some time.
type spent struct {
	took, cpu       time.Duration
	switches, reads int64
}

// core is the part of one core, in percent.
func (s spent) core() float64 { return 100 * s.cpu.Seconds() / s.took.Seconds() }

func (s spent) String() string {
	return fmt.Sprintf("%.2f %%, %.0f switches/s", s.core(), float64(s.switches)/s.took.Seconds())
}
