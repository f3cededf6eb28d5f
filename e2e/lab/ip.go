//go:build linux

package lab

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
)

// commands are for one run of ip.
type commands []string

func (c *commands) add(format string, args ...any) {
	*c = append(*c, fmt.Sprintf(format, args...))
}

// run has ip do the commands where this process is. The first that fails ends
// it.
func (c commands) run() error {
	if len(c) == 0 {
		return nil
	}
	return feed(strings.Join(c, "\n")+"\n", "ip", "-batch", "-")
}

// ip has ip do the commands in the namespace. Its own flag for that would mount
// a sysfs, which some kernels refuse to a plain user.
func (ns namespace) ip(c commands) error { return ns.do(c.run) }

// nft has nft do a script in the namespace, all of it or nothing.
func (ns namespace) nft(script string) error {
	return ns.do(func() error { return feed(script, "nft", "-f", "-") })
}

func feed(input, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s\n%s", program, strings.Join(args, " "), err, bytes.TrimSpace(said.Bytes()), input)
	}
	return nil
}

// IP has ip do commands on the station, such as "link set dev eth0 down". What
// the kernel forgets by that, Readdress gives back.
func (s *Station) IP(do ...string) error { return s.ns.ip(do) }
