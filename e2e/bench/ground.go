package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/berth-lb/berth/e2e/apiproxy"
	"github.com/berth-lb/berth/e2e/cluster"
)

// ground is an API server with Services, and a client that speaks to it as
// briefly as can be.
type ground struct {
	*cluster.Cluster
	client  kubernetes.Interface
	workers int
}

// withGround runs do over an API server of its own.
func withGround(ctx context.Context, b *bench, do func(*ground) error) error {
	// Room for more Services than a /16 holds addresses.
	c, err := cluster.Start(ctx, cluster.Options{APIServerArgs: []string{"--service-cluster-ip-range=10.64.0.0/12,fd00:96::/108"}})
	if err != nil {
		return err
	}
	defer c.Stop()
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	if err := c.Install(ctx, filepath.Join(root, "charts", "berth", "crds")); err != nil {
		return err
	}
	g := &ground{Cluster: c, workers: b.workers}
	if g.client, err = kubernetes.NewForConfig(brief(c.Config())); err != nil {
		return err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "berth-system"}}
	if _, err := g.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		return err
	}
	return do(g)
}

// brief has a client speak protobuf, as the controller does.
func brief(config *rest.Config) *rest.Config {
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf
	config.QPS = -1
	return config
}

// pool applies the IPAddressPool that everything is served from.
func (g *ground) pool(ctx context.Context, addresses string) error {
	_, err := g.Apply(ctx, []byte(fmt.Sprintf(`apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench, namespace: berth-system}
spec: {addresses: [%q]}
`, addresses)))
	return err
}

// each runs do for the numbers from 0 to n-1 on all workers.
func (g *ground) each(n int, do func(i int) error) error {
	numbers := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for range g.workers {
		wg.Go(func() {
			for i := range numbers {
				if err := do(i); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
	return errors.Join(errs...)
}

const namespace = "default"

// name is that of the i-th Service.
func name(i int) string { return fmt.Sprintf("svc-%06d", i) }

func service(name string, class *string) *corev1.Service {
	no := false
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type:                          corev1.ServiceTypeLoadBalancer,
			LoadBalancerClass:             class,
			AllocateLoadBalancerNodePorts: &no,
			Selector:                      map[string]string{"app": name},
			Ports:                         []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "https", Port: 443}},
		},
	}
}

func (g *ground) create(ctx context.Context, svc *corev1.Service) (*corev1.Service, error) {
	return g.client.CoreV1().Services(svc.Namespace).Create(ctx, svc, metav1.CreateOptions{})
}

// fill creates the Services from number from on, up to number to.
func (g *ground) fill(ctx context.Context, from, to int) error {
	began := time.Now()
	err := g.each(to-from, func(i int) error {
		_, err := g.create(ctx, service(name(from+i), nil))
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
	progress("  created %d Services in %v", to-from, time.Since(began).Round(time.Millisecond))
	return err
}

// nodes creates n Nodes.
func (g *ground) nodes(ctx context.Context, n int) error {
	return g.each(n, func(i int) error {
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%04d", i)},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.0.%d.%d", i/250, i%250)},
			}},
		}
		_, err := g.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		return err
	})
}

// serve starts the controller by way of a kubeconfig.
func (g *ground) serve(ctx context.Context, b *bench, kubeconfig string, args ...string) (*cluster.Process, error) {
	return g.Run(ctx, b.controller, append([]string{
		"--kubeconfig", kubeconfig,
		"--default-backend", "pool",
		"--concurrency", fmt.Sprint(b.workers),
		"--metrics-bind-address", "0",
		"--health-probe-bind-address", "0",
	}, args...)...)
}

// serveCounted starts the controller behind a proxy that counts its requests.
func (g *ground) serveCounted(ctx context.Context, b *bench) (*cluster.Process, *apiproxy.Proxy, error) {
	proxy, err := apiproxy.Start(g.Config())
	if err != nil {
		return nil, nil, err
	}
	kubeconfig := filepath.Join(g.Dir(), "counted.kubeconfig")
	if err := proxy.WriteKubeconfig(kubeconfig); err != nil {
		return nil, nil, err
	}
	p, err := g.serve(ctx, b, kubeconfig)
	return p, proxy, err
}

// bare makes the writes that a Service needs: the finalizer and the status.
func (g *ground) bare(ctx context.Context, i int, name string) error {
	services := g.client.CoreV1().Services(namespace)
	const finalizer = `{"metadata":{"finalizers":["service.kubernetes.io/load-balancer-cleanup"]}}`
	if _, err := services.Patch(ctx, name, "application/strategic-merge-patch+json", []byte(finalizer), metav1.PatchOptions{}); err != nil {
		return err
	}
	status := fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[{"ip":"10.%d.%d.%d","ipMode":"VIP"}]}}}`, 128+i>>16, i>>8&255, i&255)
	_, err := services.Patch(ctx, name, "application/strategic-merge-patch+json", []byte(status), metav1.PatchOptions{}, "status")
	return err
}

// ended tells why a controller is gone, with the end of its log.
func ended(p *cluster.Process) error {
	return fmt.Errorf("the controller ended; its log ends in:\n%s", strings.TrimSpace(p.Tail(20)))
}
