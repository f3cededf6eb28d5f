// Command demo shows Berth at work: it starts a Kubernetes control plane and
// the controller, creates Services of several kinds, and shows what a user of
// the cluster sees. It fails if that is not what it should be.
//
// With KEEP=1 in the environment everything stays up until Ctrl-C.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/berth-lb/berth/e2e/access"
	"github.com/berth-lb/berth/e2e/cluster"
)

//go:embed cluster.yaml
var clusterYAML []byte

//go:embed pool.yaml
var poolYAML []byte

//go:embed services.yaml
var servicesYAML []byte

// patience is how long a step may take.
const patience = 60 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetLogger(logr.Discard())
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	fmt.Println("Berth at work, in a Kubernetes control plane of its own.")
	fmt.Println()
	began := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{ControllerManager: true})
	if err != nil {
		return err
	}
	defer c.Stop()
	step(began, "etcd, kube-apiserver and kube-controller-manager are up")

	d, err := prepare(ctx, c)
	if err != nil {
		return err
	}
	if err := d.play(ctx); err != nil {
		return d.explain(err)
	}
	if os.Getenv("KEEP") == "" {
		hintKeep()
		return nil
	}
	hintKept(c)
	return d.keep(ctx)
}

// demo is the stage, set: all but the Services is there.
type demo struct {
	*cluster.Cluster
	client     client.WithWatch
	controller *cluster.Process
}

func prepare(ctx context.Context, c *cluster.Cluster) (*demo, error) {
	cl, err := c.Client()
	if err != nil {
		return nil, err
	}
	d := &demo{Cluster: c, client: cl}
	began := time.Now()
	if err := d.populate(ctx); err != nil {
		return nil, err
	}
	step(began, "the CRDs, a pool of addresses, two nodes and two ready pods are there")
	began = time.Now()
	if err := d.startController(ctx); err != nil {
		return nil, d.explain(err)
	}
	step(began, "berth-controller is up")
	return d, nil
}

func (d *demo) populate(ctx context.Context) error {
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	if err := d.Install(ctx, filepath.Join(root, "charts", "berth", "crds")); err != nil {
		return err
	}
	for _, stream := range [][]byte{poolYAML, clusterYAML} {
		if _, err := d.Apply(ctx, stream); err != nil {
			return err
		}
	}
	return d.markPodsReady(ctx)
}

// markPodsReady says of all pods what a kubelet would.
func (d *demo) markPodsReady(ctx context.Context) error {
	pods := &corev1.PodList{}
	if err := d.client.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i, pod := range pods.Items {
		ipv4, ipv6 := fmt.Sprintf("10.0.0.%d", i+1), fmt.Sprintf("fd00::%d", i+1)
		pod.Status = corev1.PodStatus{
			Phase:      corev1.PodRunning,
			PodIP:      ipv4,
			PodIPs:     []corev1.PodIP{{IP: ipv4}, {IP: ipv6}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		}
		if err := d.client.Status().Update(ctx, &pod); err != nil {
			return fmt.Errorf("marking the pod %s ready: %w", pod.Name, err)
		}
	}
	return nil
}

// startController returns when the controller is at work.
func (d *demo) startController(ctx context.Context) error {
	binary, err := cluster.Built("berth-controller")
	if err != nil {
		return err
	}
	port, err := access.FreePort()
	if err != nil {
		return err
	}
	d.controller, err = d.Run(ctx, binary,
		"--kubeconfig", d.Kubeconfig(),
		"--namespace", "berth-system",
		"--backends", "pool",
		"--default-backend", "pool",
		"--metrics-bind-address", "0",
		"--health-probe-bind-address", fmt.Sprintf("127.0.0.1:%d", port),
	)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, patience, true, d.atWork)
}

// atWork says whether the controller leads and knows its pools: it says so in
// a ConfigurationState.
func (d *demo) atWork(ctx context.Context) (bool, error) {
	select {
	case <-d.controller.Done():
		return false, errors.New("berth-controller ended")
	default:
	}
	states := &unstructured.UnstructuredList{Object: map[string]any{
		"apiVersion": "metallb.io/v1beta1",
		"kind":       "ConfigurationStateList",
	}}
	err := d.client.List(ctx, states, client.InNamespace("berth-system"))
	return len(states.Items) > 0, err
}

// play creates the Services and shows what becomes of them.
func (d *demo) play(ctx context.Context) error {
	services, err := cluster.Decode(servicesYAML)
	if err != nil {
		return err
	}
	seen, err := d.create(ctx, services)
	if err != nil {
		return err
	}
	showTimes(seen)
	if err := d.showKubectl(ctx, "get", "services", "--namespace", namespace); err != nil {
		return err
	}
	showConditions(seen)
	return nil
}

// keep returns when the user has seen enough.
func (d *demo) keep(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.controller.Done():
		return d.explain(errors.New("berth-controller ended"))
	}
}

// explain adds to err what the controller said last.
func (d *demo) explain(err error) error {
	if d.controller == nil {
		return err
	}
	return fmt.Errorf("%w\nthe last lines of berth-controller:\n%s", err, d.controller.Tail(20))
}
