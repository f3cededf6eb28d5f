// Command kubebuild builds the control plane of e2e/kube into the file given,
// unless it is there already, and shows how far it is: the first build
// compiles all of Kubernetes.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// version is what the control plane says that it is: the one that
// e2e/kube/go.mod requires.
const version = "v1.37.1"

var flags = []string{
	"-trimpath",
	// The same sources shall give the same file, whatever was committed.
	"-buildvcs=false",
	"-ldflags", strings.Join([]string{
		"-s -w",
		"-X k8s.io/component-base/version.gitVersion=" + version,
		"-X k8s.io/component-base/version.gitMajor=1",
		"-X k8s.io/component-base/version.gitMinor=37",
		"-X k8s.io/client-go/pkg/version.gitVersion=" + version,
	}, " "),
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: kubebuild SOURCE-FOLDER BINARY")
		os.Exit(2)
	}
	if err := ensure(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "kubebuild:", err)
		os.Exit(1)
	}
}

// ensure builds binary from the package in dir unless it was built from the
// same sources before, in the same way.
func ensure(dir, binary string) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	want, err := fingerprint(dir)
	if err != nil {
		return err
	}
	stamp := binary + ".stamp"
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want && exists(binary) {
		return nil
	}
	if err := build(dir, binary); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}

// fingerprint changes whenever the binary has to.
func fingerprint(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, file := range append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum")) {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(file), len(text), text)
	}
	compiler, err := goCommand(dir, "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", explain(err)
	}
	fmt.Fprintf(sum, "%s %q", compiler, flags)
	return fmt.Sprintf("%x\n", sum.Sum(nil)), nil
}

func build(dir, binary string) error {
	fmt.Println("Building the Kubernetes control plane for tests and demo, bin/kube.")
	fmt.Println("The first build takes 6 to 9 minutes on two cores, most of it compiling; later ones take seconds.")
	began := time.Now()
	todo, err := stale(dir)
	if err != nil {
		return err
	}
	args := append([]string{"build", "-v", "-o", binary}, flags...)
	if err := watch(goCommand(dir, append(args, ".")...), newProgress(os.Stdout, todo)); err != nil {
		return err
	}
	fmt.Printf("Built bin/kube in %s.\n", time.Since(began).Round(time.Second))
	return nil
}

// stale counts the packages that have yet to be compiled; the modules are
// downloaded on the way. Package unsafe has nothing to compile.
func stale(dir string) (int, error) {
	args := append([]string{"list", "-deps", "-f", "{{if and .Stale (ne .ImportPath `unsafe`)}}{{.ImportPath}}{{end}}"}, flags...)
	out, err := goCommand(dir, append(args, ".")...).Output()
	return len(strings.Fields(string(out))), explain(err)
}

func goCommand(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	// GOWORK and GOFLAGS of the user would build something else.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	return cmd
}

func explain(err error) error {
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	return err
}

// watch runs `go build -v`, which prints the packages as it compiles them, and
// keeps what else it says for the error.
func watch(cmd *exec.Cmd, p *progress) error {
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var said bytes.Buffer
	p.run(lines(out), &said)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, said.String())
	}
	return nil
}

func lines(r io.Reader) <-chan string {
	out := make(chan string)
	go func() {
		defer close(out)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			out <- scanner.Text()
		}
	}()
	return out
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
