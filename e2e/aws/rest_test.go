package aws

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/access"
	"github.com/berth-lb/berth/e2e/check"
)

// Where nothing has changed no call is made, and after a restart those that look
// at the cluster as a whole.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	const services = 10
	l := newLab(t, "unchanged", atOnce())
	metrics := freeAddress(t)
	c := l.start("--metrics-bind-address=" + metrics)
	name := func(i int) string { return fmt.Sprintf("web-%d", i) }
	for i := range services {
		l.endpoints(l.create(name(i)), "10.0.100.1")
	}
	for i := range services {
		l.served(name(i))
	}
	l.eventually(func() error {
		// The targets are looked at once they should be healthy.
		if looks := l.account.Counts()["DescribeTargetHealth"]; looks < services {
			return fmt.Errorf("there were %d looks", looks)
		}
		return nil
	})
	before := l.get(name(0))
	made, since := -1, time.Now()
	l.eventually(func() error {
		if n := len(l.account.Calls()); n != made {
			made, since = n, time.Now()
		}
		return check.Is("calls are still made", time.Since(since) < 2*time.Second, false)
	})
	l.account.Reset()
	for i := range services {
		l.touch(name(i))
	}
	check.Quiet() // Nobody makes a call.
	if calls := l.account.Calls(); len(calls) > 0 {
		t.Errorf("%d calls although nothing has changed", len(calls))
	}
	c.stop()

	l.account.Reset()
	l.start("--metrics-bind-address=" + metrics)
	l.eventually(func() error {
		done, err := reconciled(metrics)
		if err == nil && done < services {
			err = fmt.Errorf("%v Services were looked at", done)
		}
		return err
	})
	check.Quiet() // Nothing follows either.
	calls := l.account.Calls()
	for _, call := range calls {
		if call.Changes() || call.Service == "elasticloadbalancing" {
			t.Errorf("after a restart: %v", call)
		}
	}
	t.Logf("%d calls after a restart with %d Services", len(calls), services)
	if len(calls) > 8 {
		t.Errorf("%d calls after a restart with %d Services, want a few for the cluster", len(calls), services)
	}
	after := l.get(name(0))
	l.must(check.Condition(after, provisioned, metav1.ConditionTrue, "Provisioned"))
	if after.Annotations[appliedAnnotation] != before.Annotations[appliedAnnotation] {
		t.Errorf("what was applied changed: before %s, after %s", check.Describe(before), check.Describe(after))
	}
}

// freeAddress is one of loopback that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := access.FreePort()
	check.Must(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// reconciled is how often a controller has looked at a Service with success, by
// its metrics.
func reconciled(address string) (float64, error) {
	const name = `controller_runtime_reconcile_total{controller="service",result="success"}`
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no %s", name)
}

// A dry run says what would be done, and does nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	l := newLab(t, "dry-run", atOnce())
	l.create("web")
	l.create("wrong", annotated("scheme", "public"))
	out := l.dryRun()
	for _, want := range []string{
		"Service " + l.apps + "/web\n", "create security group", "create target group", "create load balancer", "create listener TCP 80",
		"Service " + l.apps + "/wrong\n", "can't be served", `"public"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("a dry run does not say %q:\n%s", want, out)
		}
	}
	if calls := l.account.Changing(); len(calls) > 0 {
		t.Errorf("a dry run changes something: %v", calls)
	}
	l.start()
	l.served("web")
	l.edit("wrong", func(svc *corev1.Service) { svc.Annotations = nil })
	l.served("wrong")
	if out := l.dryRun(); out != "" {
		t.Errorf("a dry run beside the controller, which has made all, says:\n%s", out)
	}
}
