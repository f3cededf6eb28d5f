//go:build linux

package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
)

// restartPause is what is waited before a container that ended is started
// again; a kubelet waits longer.
const restartPause = time.Second

// worker runs one pod, of one container.
type worker struct {
	kubelet *Kubelet
	pod     *corev1.Pod

	deleted chan struct{} // closed when the API server wants it gone
	once    sync.Once
	grace   time.Duration // set once deleted is closed

	mu       sync.Mutex
	state    corev1.ContainerState
	ready    bool
	restarts int32
	place    place
}

// place is where a pod runs.
type place struct {
	from    *lab.Station
	host    string
	ips     []corev1.PodIP
	run     func(name string, program cluster.Program) (*lab.Program, error)
	release func()
}

func (w *worker) delete(grace time.Duration) {
	w.once.Do(func() {
		w.grace = grace
		close(w.deleted)
	})
}

// run ends when the pod is gone from the API server, or ctx ends.
func (w *worker) run(ctx context.Context) {
	if err := w.live(ctx); err != nil && ctx.Err() == nil {
		w.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerError", Message: err.Error()}}
		w.report(ctx, corev1.PodPending)
	}
	select {
	case <-ctx.Done():
		return
	case <-w.deleted:
	}
	for {
		err := w.kubelet.api.Delete(ctx, w.pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &w.pod.UID})
		if client.IgnoreNotFound(err) == nil || ctx.Err() != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// live runs the pod's container until it ended for good.
func (w *worker) live(ctx context.Context) error {
	if finished(w.pod) {
		return nil
	}
	if err := w.kubelet.place(ctx, w.pod); err != nil {
		return err
	}
	if len(w.pod.Spec.Containers) != 1 || len(w.pod.Spec.InitContainers) > 0 {
		return errors.New("a pod has one container here")
	}
	if err := w.settle(); err != nil {
		return err
	}
	defer w.place.release()
	c := &w.pod.Spec.Containers[0]
	program, err := w.program(ctx, c)
	if err != nil {
		return err
	}
	p, err := w.place.run(w.pod.Name, program)
	if err != nil {
		return err
	}
	w.kubelet.mu.Lock()
	w.kubelet.logs = append(w.kubelet.logs, p.LogFile())
	w.kubelet.mu.Unlock()
	for {
		ended, err := w.watch(ctx, p, c)
		if err != nil || ended {
			return err
		}
		w.restarts++
		if err := p.Start(); err != nil {
			return err
		}
	}
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// settle finds the network of the pod.
func (w *worker) settle() error {
	if !w.pod.Spec.HostNetwork {
		e, err := w.kubelet.Lab.Enclave(w.kubelet.Reach...)
		if err != nil {
			return err
		}
		// It has no address that others could use, and tells of none.
		w.place = place{from: &e.Station, host: "127.0.0.1", run: e.RunProgram, release: e.Close}
		return nil
	}
	i := slices.IndexFunc(w.kubelet.Lab.Nodes, func(n *lab.Node) bool { return n.Name == w.pod.Spec.NodeName })
	if i < 0 {
		return fmt.Errorf("the node %s is not of the lab", w.pod.Spec.NodeName)
	}
	n := w.kubelet.Lab.Nodes[i]
	w.place = place{
		from: &n.Station, host: n.IPv4.String(), run: n.RunProgram, release: func() {},
		ips: []corev1.PodIP{{IP: n.IPv4.String()}, {IP: n.IPv6.String()}},
	}
	return nil
}

func (w *worker) program(ctx context.Context, c *corev1.Container) (cluster.Program, error) {
	pod := w.pod.DeepCopy()
	pod.Status.HostIP = w.place.host
	if len(w.place.ips) > 0 {
		pod.Status.PodIP = w.place.ips[0].IP
	}
	with := c.DeepCopy()
	for _, e := range w.kubelet.Env {
		name, value, _ := strings.Cut(e, "=")
		with.Env = append(with.Env, corev1.EnvVar{Name: name, Value: value})
	}
	return w.kubelet.Program(ctx, pod, with)
}

// watch looks after a container that was just started. It says whether the pod
// has ended with it.
func (w *worker) watch(ctx context.Context, p *lab.Program, c *corev1.Container) (ended bool, err error) {
	probing, stop := context.WithCancel(ctx)
	var probes sync.WaitGroup
	defer probes.Wait()
	defer stop()
	w.running(ctx, c)
	if err := w.probe(probing, &probes, p, c); err != nil {
		p.Kill()
		return false, err
	}
	select {
	case <-ctx.Done():
		p.Kill()
		return true, nil
	case <-w.deleted:
		stop()
		w.terminate(ctx, p, c)
		return true, nil
	case <-p.Done():
	}
	stop()
	probes.Wait()
	return w.ended(ctx, p.Wait(ctx))
}

// running tells that the container runs, and that it is ready if nobody is to
// ask.
func (w *worker) running(ctx context.Context, c *corev1.Container) {
	w.mu.Lock()
	w.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
	w.ready = c.ReadinessProbe == nil
	w.mu.Unlock()
	w.report(ctx, corev1.PodRunning)
}

// probe asks the container what its probes ask, once it has started.
func (w *worker) probe(ctx context.Context, probes *sync.WaitGroup, p *lab.Program, c *corev1.Container) error {
	var all [3]*prober
	for i, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		var err error
		if all[i], err = newProber(probe, c, w.place.from, w.place.host); err != nil {
			return err
		}
	}
	startup, readiness, liveness := all[0], all[1], all[2]
	kill := func(ok bool, _ error) {
		if !ok {
			p.Kill()
		}
	}
	ask := func() {
		if readiness != nil {
			probes.Go(func() { readiness.run(ctx, func(ok bool, _ error) { w.setReady(ctx, ok) }) })
		}
		if liveness != nil {
			probes.Go(func() { liveness.run(ctx, kill) })
		}
	}
	if startup == nil {
		ask()
		return nil
	}
	probes.Go(func() {
		starting, started := context.WithCancel(ctx)
		startup.run(starting, func(ok bool, why error) {
			kill(ok, why)
			started()
		})
		if ctx.Err() == nil {
			ask()
		}
	})
	return nil
}

func (w *worker) setReady(ctx context.Context, ready bool) {
	w.mu.Lock()
	w.ready = ready
	w.mu.Unlock()
	w.report(ctx, corev1.PodRunning)
}

// terminate ends the container as it asks to be ended, and hard after the grace.
func (w *worker) terminate(ctx context.Context, p *lab.Program, c *corev1.Container) {
	ctx, cancel := context.WithTimeout(ctx, w.grace)
	defer cancel()
	if l := c.Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Sleep != nil {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(l.PreStop.Sleep.Seconds) * time.Second):
		}
	}
	p.Term()
	if err := p.Wait(ctx); ctx.Err() != nil && err != nil {
		p.Kill()
	}
}

// ended tells of a container that ended by itself, and says whether that was
// the end of the pod.
func (w *worker) ended(ctx context.Context, err error) (bool, error) {
	code, phase := 0, corev1.PodSucceeded
	if err != nil {
		code, phase = 1, corev1.PodFailed
		if exit := (&exec.ExitError{}); errors.As(err, &exit) {
			code = exit.ExitCode()
		}
	}
	w.mu.Lock()
	w.ready = false
	w.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: int32(code), FinishedAt: metav1.Now(), Reason: map[bool]string{true: "Completed", false: "Error"}[code == 0],
	}}
	w.mu.Unlock()
	policy := w.pod.Spec.RestartPolicy
	if policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && code == 0 {
		w.report(ctx, phase)
		return true, nil
	}
	w.report(ctx, corev1.PodRunning)
	select {
	case <-ctx.Done():
		return true, nil
	case <-w.deleted:
		return true, nil
	case <-time.After(restartPause):
		return false, nil
	}
}

// report tells the API server how the pod is. What it doesn't take is told with
// the next report.
func (w *worker) report(ctx context.Context, phase corev1.PodPhase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := metav1.Now()
	ready := corev1.ConditionFalse
	if w.ready {
		ready = corev1.ConditionTrue
	}
	status := corev1.PodStatus{Phase: phase, HostIP: w.place.host, PodIPs: w.place.ips, StartTime: &w.pod.CreationTimestamp}
	if !w.pod.Spec.HostNetwork {
		status.HostIP = ""
	} else if len(status.PodIPs) > 0 {
		status.PodIP = status.PodIPs[0].IP
	}
	for kind, is := range map[corev1.PodConditionType]corev1.ConditionStatus{
		corev1.PodScheduled: corev1.ConditionTrue, corev1.PodInitialized: corev1.ConditionTrue,
		corev1.ContainersReady: ready, corev1.PodReady: ready,
	} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: is, LastTransitionTime: now})
	}
	c := w.pod.Spec.Containers[0]
	status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: c.Name, Image: c.Image, Ready: w.ready, Started: new(w.state.Running != nil), State: w.state, RestartCount: w.restarts,
	}}
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.pod.Namespace, Name: w.pod.Name}}
	_ = w.kubelet.api.Status().Patch(ctx, pod, client.RawPatch(types.MergePatchType, patch))
}
