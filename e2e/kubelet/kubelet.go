//go:build linux

package kubelet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/lab"
)

// Options say what to run, and where.
type Options struct {
	Runtime
	// Namespace is that of the pods.
	Namespace string
	// Lab has the nodes: pods on the host's network run there, others in an
	// enclave of their own.
	Lab *lab.Lab
	// Reach are the addresses on the machine's loopback that pods in enclaves
	// can reach besides the API server.
	Reach []string
	// Env adds to the environment of every container, as KEY=value: what a
	// cloud's own webhook or instance metadata would tell.
	Env []string
}

// Kubelet runs pods until Stop.
type Kubelet struct {
	Options
	api  client.Client
	ctx  context.Context
	end  context.CancelFunc
	done sync.WaitGroup

	mu   sync.Mutex
	pods map[types.UID]*worker
	logs []string
	// placing has one pod at a time get its node.
	placing sync.Mutex
}

// Start runs the pods that there are, and those to come.
func Start(opts Options) (*Kubelet, error) {
	api, err := opts.Kube.Client()
	if err != nil {
		return nil, err
	}
	seen, err := cache.New(opts.Kube.Config(), cache.Options{DefaultNamespaces: map[string]cache.Config{opts.Namespace: {}}})
	if err != nil {
		return nil, err
	}
	k := &Kubelet{Options: opts, api: api, pods: map[types.UID]*worker{}}
	k.ctx, k.end = context.WithCancel(context.Background())
	informer, err := seen.GetInformer(k.ctx, &corev1.Pod{}, cache.BlockUntilSynced(false))
	if err != nil {
		k.end()
		return nil, err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.saw(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { k.saw(o.(*corev1.Pod)) },
	})
	if err != nil {
		k.end()
		return nil, err
	}
	k.done.Go(func() { _ = seen.Start(k.ctx) })
	return k, nil
}

// Stop kills what runs, as a power cut would: nothing is told to the API server.
func (k *Kubelet) Stop() {
	k.end()
	k.done.Wait()
}

// Logs are the files with what all containers said.
func (k *Kubelet) Logs() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.logs)
}

func (k *Kubelet) saw(pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.pods[pod.UID]
	if w == nil {
		w = &worker{kubelet: k, pod: pod.DeepCopy(), deleted: make(chan struct{})}
		k.pods[pod.UID] = w
		if k.ctx.Err() == nil {
			k.done.Go(func() { w.run(k.ctx) })
		}
	}
	if pod.DeletionTimestamp != nil {
		w.delete(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second)
	}
}

// place gives a pod its node: that of a DaemonSet's pod is named in it, another
// goes where the fewest are that belong to the same owner.
func (k *Kubelet) place(ctx context.Context, pod *corev1.Pod) error {
	if pod.Spec.NodeName != "" {
		return nil
	}
	k.placing.Lock()
	defer k.placing.Unlock()
	name := named(pod)
	if name == "" {
		var err error
		if name, err = k.emptiest(ctx, pod); err != nil {
			return err
		}
	}
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: name}}
	if err := k.api.SubResource("binding").Create(ctx, pod.DeepCopy(), binding); err != nil {
		return fmt.Errorf("giving %s to %s: %w", pod.Name, name, err)
	}
	pod.Spec.NodeName = name
	return nil
}

// named is the node that the DaemonSet controller made a pod for.
func named(pod *corev1.Pod) string {
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == "metadata.name" && field.Operator == corev1.NodeSelectorOpIn {
				return field.Values[0]
			}
		}
	}
	return ""
}

func (k *Kubelet) emptiest(ctx context.Context, pod *corev1.Pod) (string, error) {
	var nodes corev1.NodeList
	var pods corev1.PodList
	if err := errors.Join(k.api.List(ctx, &nodes), k.api.List(ctx, &pods, client.InNamespace(pod.Namespace))); err != nil {
		return "", err
	}
	load := map[string]int{}
	for _, other := range pods.Items {
		if metav1.GetControllerOf(&other) != nil && metav1.GetControllerOf(pod) != nil &&
			metav1.GetControllerOf(&other).UID == metav1.GetControllerOf(pod).UID {
			load[other.Spec.NodeName]++
		}
	}
	best := ""
	for _, n := range nodes.Items {
		if best == "" || load[n.Name] < load[best] {
			best = n.Name
		}
	}
	if best == "" {
		return "", errors.New("there is no node")
	}
	return best, nil
}
