//go:build linux

package container_test

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-lb/berth/e2e/container"
	"github.com/berth-lb/berth/e2e/lab"
)

// report is what a program finds in its container.
type report struct {
	UID, GID                        int
	Effective, Bounding, NoNewPrivs string
	Root, Env                       []string
	Hostname                        string
	WriteRoot, WriteTmp, WriteSys   string
	RawSocket, SetNetns             string
}

// The program in the container is this one.
const play = "BERTH_CONTAINER_TEST_REPORT"

func TestMain(m *testing.M) {
	if os.Getenv(play) != "" {
		_ = json.NewEncoder(os.Stdout).Encode(look())
		return
	}
	lab.Main()
	os.Exit(m.Run())
}

func look() report {
	r := report{UID: os.Getuid(), GID: os.Getgid(), Env: os.Environ()}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); key {
		case "CapEff":
			r.Effective = value
		case "CapBnd":
			r.Bounding = value
		case "NoNewPrivs":
			r.NoNewPrivs = value
		}
	}
	entries, _ := os.ReadDir("/")
	for _, e := range entries {
		r.Root = append(r.Root, e.Name())
	}
	r.Hostname, _ = os.Hostname()
	r.WriteRoot = said(os.WriteFile("/new", nil, 0o600))
	r.WriteTmp = said(os.WriteFile("/scratch/new", nil, 0o600))
	r.WriteSys = said(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0))
	conn, err := net.ListenPacket("ip4:icmp", "127.0.0.1")
	if r.RawSocket = said(err); err == nil {
		_ = conn.Close()
	}
	r.SetNetns = said(unix.Unshare(unix.CLONE_NEWUSER))
	return r
}

func said(err error) string {
	var no unix.Errno
	if errors.As(err, &no) {
		return unix.ErrnoName(no)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func run(t *testing.T, s container.Spec) report {
	t.Helper()
	lab.Require(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.Root, s.Image, s.Args = t.TempDir(), map[string]string{"/program": self}, []string{"/program"}
	s.Mounts = append(s.Mounts, container.Mount{Target: "/scratch"})
	s.Env = append(s.Env, play+"=1")
	binary, env, err := s.Command()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	var r report
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

// What a controller gets: nothing but its program, its environment and a place
// to write to.
func TestUnprivileged(t *testing.T) {
	user := 65532
	if only(t) {
		user = 0 // the lab of a plain user has no other
	}
	r := run(t, container.Spec{ReadOnly: true, User: 65532, Group: 65532, Hostname: "pod-1", NoNewPrivileges: true, Seccomp: true, Env: []string{"A=b"}})
	for what, pair := range map[string][2]any{
		"user":                    {r.UID, user},
		"group":                   {r.GID, user},
		"effective capabilities":  {r.Effective, "0000000000000000"},
		"bounding capabilities":   {r.Bounding, "0000000000000000"},
		"no new privileges":       {r.NoNewPrivs, "1"},
		"hostname":                {r.Hostname, "pod-1"},
		"writing to its root":     {r.WriteRoot, "EROFS"},
		"writing to a volume":     {r.WriteTmp, ""},
		"setting a sysctl":        {r.WriteSys, "EROFS"},
		"a raw socket":            {r.RawSocket, "EPERM"},
		"what seccomp refuses":    {r.SetNetns, "EPERM"},
		"the environment, sorted": {strings.Join(slices.Sorted(slices.Values(r.Env)), " "), "A=b " + play + "=1"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
	for _, name := range r.Root {
		if !slices.Contains([]string{"program", "proc", "dev", "etc", "scratch", "lib", "lib64", "usr"}, name) {
			t.Errorf("the container sees /%s", name)
		}
	}
}

// only says whether there is one user in this user namespace.
func only(t *testing.T) bool {
	t.Helper()
	users, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(users))
	return len(fields) == 3 && fields[2] == "1"
}

// What a speaker gets: root with one capability.
func TestOneCapability(t *testing.T) {
	r := run(t, container.Spec{ReadOnly: true, Capabilities: []string{"NET_RAW"}, NoNewPrivileges: true})
	const netRaw = "0000000000002000"
	if r.UID != 0 || r.Effective != netRaw || r.Bounding != netRaw || r.RawSocket != "" || r.WriteSys != "EROFS" {
		t.Errorf("got %+v", r)
	}
}

// A file system that isn't read-only can be written to, by root.
func TestWritable(t *testing.T) {
	r := run(t, container.Spec{Capabilities: container.Default})
	if r.WriteRoot != "" || r.NoNewPrivs != "0" {
		t.Errorf("got %+v", r)
	}
}

func TestUnknownCapability(t *testing.T) {
	_, _, err := container.Spec{Capabilities: []string{"NET_RAWWW"}}.Command()
	if err == nil || !strings.Contains(err.Error(), "NET_RAWWW") {
		t.Errorf("got %v", err)
	}
}

// What can't be started says why, and ends.
func TestNoSuchProgram(t *testing.T) {
	s := container.Spec{Root: t.TempDir(), Args: []string{"/nothing"}}
	binary, env, err := s.Command()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "starting a container: ") {
		t.Errorf("got %v: %s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Root, "*")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}
