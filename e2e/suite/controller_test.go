package suite

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/access"
	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

// controller is a berth-controller that runs as a process of its own.
type controller struct {
	*cluster.Process
	ended bool // by the test, which has looked at how
}

// startController runs the program until the test ends; then it has to stop in
// order, and its log is looked through.
func startController(t *testing.T, on *cluster.Cluster, flags ...string) *controller {
	t.Helper()
	p, err := on.Run(context.Background(), program, flags...)
	check.Must(t, err)
	c := &controller{Process: p}
	t.Cleanup(func() {
		if !c.ended {
			c.stop(t)
		}
		c.readLog(t)
	})
	return c
}

// stop asks the controller to stop and has it exit with status 0.
func (c *controller) stop(t *testing.T) {
	t.Helper()
	c.ended = true
	c.Term()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Wait(ctx); err != nil {
		t.Errorf("berth-controller did not stop in order on SIGTERM: %v", err)
		c.Kill()
	}
}

// kill ends the controller as a crash would.
func (c *controller) kill() {
	c.ended = true
	c.Kill()
}

// readLog fails the test for what must never be in a log, and shows the log
// of a test that failed.
func (c *controller) readLog(t *testing.T) {
	check.Logs(t, c.LogFile())
	if t.Failed() {
		t.Logf("the log of berth-controller, process %d:\n%s", c.PID(), c.Tail(300))
	}
}

// freeAddress is one of loopback that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := access.FreePort()
	check.Must(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// fetch returns what a path of a server on loopback answers.
func fetch(address, path string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + address + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", path, resp.Status, body)
	}
	return string(body), err
}

// metrics are the values of a scrape by name and labels, as in the text.
func metrics(address string) (map[string]float64, error) {
	text, err := fetch(address, "/metrics")
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		at := strings.LastIndex(line, " ")
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		if value, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64); err == nil {
			values[line[:at]] = value
		}
	}
	return values, nil
}
