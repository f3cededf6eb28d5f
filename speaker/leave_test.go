package speaker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestParting(t *testing.T) {
	taint := func(key string) func(*corev1.Node) {
		return func(n *corev1.Node) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	notReady := func(message string) func(*corev1.Node) {
		return func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: message}}
		}
	}
	for _, tc := range []struct {
		reason string
		change func(*corev1.Node)
		want   string
	}{
		{"an upgrade of the speaker", func(*corev1.Node) {}, ""},
		{"a drain begins with it", func(n *corev1.Node) { n.Spec.Unschedulable = true }, "the Node is cordoned"},
		{"a finalizer holds it", func(n *corev1.Node) { n.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, "the Node is being deleted"},
		{"nothing is announced there", func(n *corev1.Node) { n.Labels[corev1.LabelNodeExcludeBalancers] = "" }, "the Node is excluded from load balancers"},
		{"the autoscaler has chosen it", taint("ToBeDeletedByClusterAutoscaler"), "the Node has the taint ToBeDeletedByClusterAutoscaler"},
		{"an operator says that it is off", taint("node.kubernetes.io/out-of-service"), "the Node has the taint node.kubernetes.io/out-of-service"},
		{"the machine shuts down", notReady("[container runtime is down, node is shutting down]"), "the Node is shutting down"},
		{"the kubelet has other trouble", notReady("container runtime is down"), ""},
		{"a control plane", taint("node-role.kubernetes.io/control-plane"), ""},
		{"a disk is full", taint(corev1.TaintNodeDiskPressure), ""},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			node := testNode("a")
			tc.change(node)
			if got := parting(node); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if parting(nil) == "" {
		t.Error("a Node that is gone is to come back")
	}
}

func TestLeaving(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, routed([]string{"a"}, tor)...)
		a := w.start("a")
		if why := a.Leaving(t.Context()); why != "" {
			t.Errorf("a restart is %q", why)
		}
		w.wantSessions("a", "0/1; tor Active")
		w.remove(testNode("a"))
		if why := a.Leaving(t.Context()); why != "the Node is deleted" {
			t.Errorf("the Node is gone: %q", why)
		}
		a.stop()
		for range 2 {
			if err := a.Left(t.Context()); err != nil {
				t.Error(err)
			}
		}
		w.wantSessions("a", "")
	})
}

// One that has announced nothing yet has nothing to take back.
func TestASpeakerThatIsNotReadyDoesNotLeave(t *testing.T) {
	in(t, func(t *testing.T) {
		node := testNode("a")
		node.Spec.Unschedulable = true
		w := newWorld(t, node)
		if why := w.startBlind("a").Leaving(t.Context()); why != "" {
			t.Errorf("got %q", why)
		}
	})
}

// Other nodes take over while this one still answers, whatever the policy.
func TestYield(t *testing.T) {
	in(t, func(t *testing.T) {
		db := local(testService("db", "192.0.2.2"), 30123)
		w := newWorld(t, append(cluster("a", "b"), web, db, endpoints("web", "a"), endpoints("db", "a", "b"),
			onRecord(web, webAddress, "a"), onRecord(db, "192.0.2.2", "a"))...)
		a, b := w.start("a"), w.start("b")
		a.begins(webAddress)
		a.begins("192.0.2.2")
		time.Sleep(time.Second)
		began, done := time.Now(), make(chan struct{})
		go func() { a.Yield(t.Context()); close(done) }()
		time.Sleep(2 * compilePace)
		synctest.Wait()
		for _, s := range []*testSpeaker{a, b} {
			s.wantClaim(w, webAddress, "b; a")
		}
		b.wantClaim(w, "192.0.2.2", "b a; b")
		a.wantClaim(w, "192.0.2.2", "b; b")
		select {
		case <-done:
			t.Error("nobody has taken over yet")
		default:
		}
		for _, address := range []string{webAddress, "192.0.2.2"} {
			b.begins(address)
			a.ceases(address)
		}
		<-done
		if took := time.Since(began); took > time.Second {
			t.Errorf("it ends after %s", took)
		}
		w.wantNode(web, webAddress, "b")

		// Started anew, it is a candidate again, and takes nothing back.
		a.stop()
		a = w.start("a")
		time.Sleep(time.Second)
		synctest.Wait()
		a.wantClaim(w, webAddress, "b a; b")
		b.wantClaim(w, webAddress, "b a; b")
	})
}

func TestYieldIsBounded(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a"), web, endpoints("web", "a"), onRecord(web, webAddress, "a"))...)
		a := w.start("a")
		a.begins(webAddress)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		a.Yield(ctx)
		if ctx.Err() == nil {
			t.Error("it ends though the address is announced")
		}
	})
}
