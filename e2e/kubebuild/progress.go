package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows how many packages are compiled: on a terminal in one line
// that changes, elsewhere in a line now and then.
type progress struct {
	out         io.Writer
	interactive bool
	every       time.Duration
	began       time.Time
	done, todo  int
}

func newProgress(out *os.File, todo int) *progress {
	p := &progress{out: out, every: 30 * time.Second, began: time.Now(), todo: todo}
	if terminal(out) && os.Getenv("CI") == "" {
		p.interactive, p.every = true, time.Second
	}
	return p
}

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// run counts the packages among lines and writes the others, the compiler's
// errors, to said.
func (p *progress) run(lines <-chan string, said io.Writer) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case line, more := <-lines:
			if !more {
				p.end()
				return
			}
			p.take(line, said)
		case <-tick.C:
			p.show()
		}
	}
}

func (p *progress) take(line string, said io.Writer) {
	if isPackage(line) {
		p.done++
		return
	}
	fmt.Fprintln(said, line)
}

// isPackage tells an import path from an error message or the "# package"
// before it.
func isPackage(line string) bool { return line != "" && !strings.ContainsAny(line, " \t:#") }

func (p *progress) show() {
	took := time.Since(p.began).Round(time.Second)
	text := fmt.Sprintf("compiled %d of %d packages, %s", p.done, max(p.todo, p.done), took)
	if p.done >= p.todo {
		text = fmt.Sprintf("linking, %s", took)
	}
	if p.interactive {
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
	} else {
		fmt.Fprintln(p.out, text)
	}
}

func (p *progress) end() {
	if p.interactive {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
