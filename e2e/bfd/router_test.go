package bfd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// router is FRR's bfdd, and zebra, which tells it of interfaces.
type router struct {
	t         *testing.T
	namespace string
	dir       string
	config    string
	daemons   map[string]*exec.Cmd
}

// view is how FRR sees a session.
type view struct {
	Peer             string
	Status           string
	Diagnostic       string
	RemoteDiagnostic string `json:"remote-diagnostic"`
	Transmit         int    `json:"transmit-interval"`
	Receive          int    `json:"receive-interval"`
	RemoteTransmit   int    `json:"remote-transmit-interval"`
	RemoteReceive    int    `json:"remote-receive-interval"`
	RemoteMultiplier int    `json:"remote-detect-multiplier"`
}

// newRouter starts FRR with one session; peer is the line that names it.
func newRouter(t *testing.T, namespace, peer string) *router {
	t.Helper()
	dir, err := os.MkdirTemp("", "frr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &router{t: t, namespace: namespace, dir: dir, daemons: map[string]*exec.Cmd{}}
	r.config = fmt.Sprintf("bfd\n peer %s\n  transmit-interval 300\n  receive-interval 400\n  detect-multiplier 4\n !\n!\n", peer)
	if err := os.WriteFile(r.path("zebra.conf"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path("bfdd.conf"), []byte(r.config), 0o644); err != nil {
		t.Fatal(err)
	}
	r.own()
	t.Cleanup(func() { r.kill("bfdd"); r.kill("zebra") })
	r.start("zebra")
	r.start("bfdd")
	return r
}

func (r *router) path(name string) string { return filepath.Join(r.dir, name) }

// own gives the folder to the user that FRR changes to.
func (r *router) own() {
	r.t.Helper()
	frr, err := user.Lookup("frr")
	if err != nil {
		r.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(frr.Uid)
	gid, _ := strconv.Atoi(frr.Gid)
	for _, name := range []string{"", "zebra.conf", "bfdd.conf"} {
		if err := os.Chown(r.path(name), uid, gid); err != nil {
			r.t.Fatal(err)
		}
	}
}

// start starts a daemon and waits until it can be asked.
func (r *router) start(daemon string) {
	r.t.Helper()
	args := []string{"netns", "exec", r.namespace, "/usr/lib/frr/" + daemon,
		"-f", r.path(daemon + ".conf"), "-i", r.path(daemon + ".pid"), "-z", r.path("zserv.api"),
		"--vty_socket", r.dir, "-P", "0", "--log", "file:" + r.path(daemon+".log")}
	if daemon == "bfdd" {
		args = append(args, "--bfdctl", r.path("bfdd.sock"))
	}
	cmd := exec.Command("ip", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.daemons[daemon] = cmd
	eventually(r.t, daemon+" answers", func() bool {
		return exec.Command("vtysh", "--vty_socket", r.dir, "-d", daemon, "-c", "show version").Run() == nil
	})
}

// kill is the end of a daemon without a last word.
func (r *router) kill(daemon string) {
	if cmd := r.daemons[daemon]; cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		delete(r.daemons, daemon)
	}
}

// tell configures the session.
func (r *router) tell(peer, line string) {
	r.t.Helper()
	command(r.t, "vtysh", "--vty_socket", r.dir, "-d", "bfdd",
		"-c", "configure terminal", "-c", "bfd", "-c", "peer "+peer, "-c", line)
}

func (r *router) view() view {
	r.t.Helper()
	out := command(r.t, "vtysh", "--vty_socket", r.dir, "-d", "bfdd", "-c", "show bfd peers json")
	var all []view
	if err := json.Unmarshal([]byte(out[strings.Index(out, "["):]), &all); err != nil || len(all) != 1 {
		r.t.Fatalf("show bfd peers: %v\n%s", err, out)
	}
	return all[0]
}

// sees waits until FRR's view is as asked.
func (r *router) sees(what string, ok func(view) bool) {
	r.t.Helper()
	var last view
	eventually(r.t, fmt.Sprintf("FRR sees %s", what), func() bool { last = r.view(); return ok(last) })
}

// eventually asks again and again.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !ok(); {
		if time.Now().After(late) {
			t.Fatalf("not in %v: %s", patience, what)
		}
		time.Sleep(20 * ms) // What it asks is a program that is run anew each time.
	}
}
