//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Pod is a pod behind a node: an object of the API server, a network
// namespace, and a server in it that says its name.
type Pod struct {
	Namespace, Name string
	IPv4, IPv6      netip.Addr

	node   *Node
	number int
	app    string
	ns     namespace
	server *Program
}

// StartPod runs a pod on the node for an app, and returns when it answers and
// the API server knows it as ready. Its namespace in the cluster is there.
func (n *Node) StartPod(ctx context.Context, namespace, name, app string) (*Pod, error) {
	p, err := n.newPod(namespace, name, app)
	if err != nil {
		return nil, fmt.Errorf("starting the pod %s on %s: %w", name, n.Name, err)
	}
	if err := p.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the pod %s on %s: %w", name, n.Name, err), p.Delete(ctx))
	}
	return p, nil
}

func (n *Node) newPod(namespace, name, app string) (*Pod, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dark {
		return nil, errNoPower
	}
	n.lastPod++
	subnets := podNets(n.Number)
	p := &Pod{
		Namespace: namespace, Name: name,
		IPv4: nth(subnets[0], n.lastPod+1), IPv6: nth(subnets[1], n.lastPod+1),
		node: n, number: n.lastPod, app: app,
		ns: podNamespace(n, n.lastPod),
	}
	n.pods = append(n.pods, p)
	return p, nil
}

func podNamespace(n *Node, number int) namespace {
	return namespace{fmt.Sprintf("%s-pod%d", n.ns.name, number)}
}

// Pods are those that run on the node.
func (n *Node) Pods() []*Pod {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.pods)
}

func (p *Pod) start(ctx context.Context) error {
	if err := p.boot(ctx); err != nil {
		return err
	}
	if p.node.lab.api == nil {
		return nil
	}
	return p.register(ctx)
}

// boot makes the pod's namespace and starts its server.
func (p *Pod) boot(ctx context.Context) error {
	if err := p.build(); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	env := []string{podVariable + "=" + p.Name}
	if p.server, err = p.node.lab.run(p.Name, p.ns, env, program); err != nil {
		return err
	}
	return p.waitAnswers(ctx)
}

func (p *Pod) port() string { return fmt.Sprint("pod", p.number) }

// build makes the pod's namespace, on a cable of its own to its node.
func (p *Pod) build() error {
	node := p.node.ns
	create := commands{"netns add " + p.ns.name}
	cable := commands{fmt.Sprintf("link add name eth0 netns %s type veth peer name %s netns %s",
		p.ns.name, p.port(), node.name)}
	inside := commands{"link set dev lo up", "link set dev eth0 up"}
	outside := commands{"link set dev " + p.port() + " up"}
	for i, addr := range []netip.Addr{p.IPv4, p.IPv6} {
		gateway := nth(podNets(p.node.Number)[i], 1)
		inside.add("addr add %s dev eth0", addr)
		inside.add("route add %s dev eth0", gateway)
		inside.add("route add default via %s", gateway)
		outside.add("addr add %s dev %s", gateway, p.port())
		outside.add("route add %s dev %s", addr, p.port())
	}
	steps := []func() error{
		create.run,
		func() error { return p.ns.sysctls(everyStation) },
		cable.run,
		func() error { return node.ip(outside) },
		func() error { return p.ns.ip(inside) },
		func() error { return node.awaitLinks(p.port()) },
		func() error { return p.ns.awaitAddress(p.IPv6) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pod) waitAnswers(ctx context.Context) error {
	inside := Station{ns: p.ns}
	answers := func(ctx context.Context) (bool, error) {
		if !p.server.Running() {
			return false, fmt.Errorf("its server ended; does the program call lab.Main first? %s", p.server.Tail(5))
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		status, _, err := inside.Get(ctx, fmt.Sprintf("http://127.0.0.1:%d/", HTTPPort))
		return err == nil && status == 200, nil
	}
	return wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, Patience, true, answers)
}

// register tells the API server what a kubelet tells of a pod that runs.
func (p *Pod) register(ctx context.Context) error {
	pod := p.object()
	pod.Labels = map[string]string{appLabel: p.app}
	pod.Spec = corev1.PodSpec{
		NodeName:   p.node.Name,
		Containers: []corev1.Container{{Name: "server", Image: "lab"}},
	}
	api := p.node.lab.api
	if err := api.Create(ctx, pod); err != nil {
		return err
	}
	pod.Status = corev1.PodStatus{
		Phase:  corev1.PodRunning,
		HostIP: p.node.IPv4.String(),
		PodIP:  p.IPv4.String(),
		PodIPs: []corev1.PodIP{{IP: p.IPv4.String()}, {IP: p.IPv6.String()}},
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
		},
	}
	return api.Status().Update(ctx, pod)
}

func (p *Pod) object() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}}
}

// Unready has the API server know the pod as not ready. It goes on answering.
func (p *Pod) Unready(ctx context.Context) error { return p.setReady(ctx, corev1.ConditionFalse) }

// Ready ends Unready.
func (p *Pod) Ready(ctx context.Context) error { return p.setReady(ctx, corev1.ConditionTrue) }

func (p *Pod) setReady(ctx context.Context, status corev1.ConditionStatus) error {
	patch := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","status":%q,"lastTransitionTime":%q}]}}`,
		status, time.Now().UTC().Format(time.RFC3339))
	if err := p.node.lab.api.Status().Patch(ctx, p.object(), client.RawPatch(types.StrategicMergePatchType, patch)); err != nil {
		return fmt.Errorf("marking the pod %s: %w", p.Name, err)
	}
	return nil
}

// Terminate deletes the pod and leaves it the grace to end in: until Delete it
// answers, and counts as serving and terminating while it is ready.
func (p *Pod) Terminate(ctx context.Context, grace time.Duration) error {
	if err := p.node.lab.api.Delete(ctx, p.object(), client.GracePeriodSeconds(int64(grace.Seconds()))); err != nil {
		return fmt.Errorf("terminating the pod %s: %w", p.Name, err)
	}
	return nil
}

// Delete ends the pod at once, in the API server first.
func (p *Pod) Delete(ctx context.Context) error {
	err := p.remove(ctx)
	n := p.node
	n.mu.Lock()
	n.pods = slices.DeleteFunc(n.pods, func(other *Pod) bool { return other == p })
	n.mu.Unlock()
	if p.server != nil {
		p.server.Kill()
	}
	_ = removeNamespaces(func(name string) bool { return name == p.ns.name })
	return err
}

// remove takes the pod from the API server. One that is not there is gone.
func (p *Pod) remove(ctx context.Context) error {
	if p.node.lab.api == nil {
		return nil
	}
	err := client.IgnoreNotFound(p.node.lab.api.Delete(ctx, p.object(), client.GracePeriodSeconds(0)))
	if err != nil {
		return fmt.Errorf("deleting the pod %s: %w", p.Name, err)
	}
	return nil
}
