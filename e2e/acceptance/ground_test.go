//go:build linux

package acceptance

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// webPort is where pods answer.
const webPort = lab.HTTPPort

// ground is a cluster with Berth, and what a kubeconfig does not give.
type ground struct {
	api client.WithWatch
	// namespace is that of the installation, and backend the one under test,
	// which serves Services without class.
	namespace, backend string
	// ranges are for pools, and spare are two addresses of them that are left to
	// single stories.
	ranges, spare []string
	pods          pods
	// get asks for a page from outside of the cluster.
	get func(ctx context.Context, url string) error
}

// pods runs and ends pods that answer every request for a page with status 200
// at webPort.
type pods interface {
	run(ctx context.Context, namespace, app string) error
	end(ctx context.Context, namespace, app string) error
}

// newGround is the cluster of the command line, else a lab.
func newGround(t *testing.T, backend string) *ground {
	t.Helper()
	if given.kubeconfig != "" {
		return givenGround(t, backend)
	}
	return labGround(t, backend)
}

func givenGround(t *testing.T, backend string) *ground {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", given.kubeconfig)
	check.Must(t, err)
	scheme := runtime.NewScheme()
	check.Must(t, clientgoscheme.AddToScheme(scheme))
	api, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	check.Must(t, err)
	g := &ground{
		api: api, namespace: given.namespace, backend: backend,
		pods: deployments{api, given.image}, get: getter(given.client),
	}
	if backend == "pool" {
		g.ranges, err = givenRanges()
		check.Must(t, err)
	}
	return g
}

// getter asks by a command, or from this process if there is none.
func getter(command string) func(context.Context, string) error {
	if words := strings.Fields(command); len(words) > 0 {
		return func(ctx context.Context, url string) error {
			out, err := exec.CommandContext(ctx, words[0], append(words[1:], url)...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s %s: %w\n%s", command, url, err, out)
			}
			return nil
		}
	}
	return func(ctx context.Context, url string) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		return isOK(response.StatusCode)
	}
}

func isOK(status int) error {
	if status != http.StatusOK {
		return fmt.Errorf("the status of the page is %d", status)
	}
	return nil
}

// deployments are pods that a cluster runs by itself.
type deployments struct {
	api   client.Client
	image string
}

func (d deployments) run(ctx context.Context, namespace, app string) error {
	labels, two := map[string]string{"app": app}, int32(2)
	no, yes, user := false, true, int64(65534)
	return d.api.Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app},
		Spec: appsv1.DeploymentSpec{
			Replicas: &two,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "web", Image: d.image, Args: []string{"netexec", fmt.Sprint("--http-port=", webPort)},
					SecurityContext: &corev1.SecurityContext{
						AllowPrivilegeEscalation: &no, RunAsNonRoot: &yes, RunAsUser: &user,
						Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
				}}},
			},
		},
	})
}

func (d deployments) end(ctx context.Context, namespace, app string) error {
	return d.api.Delete(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app}},
		client.PropagationPolicy(metav1.DeletePropagationForeground))
}

// labGround starts a control plane, nodes and Berth.
func labGround(t *testing.T, backend string) *ground {
	t.Helper()
	options := site.Options{Nodes: 2, Suffix: ".race"}
	if backend == "fake" {
		options = site.Options{Nodes: 1, Suffix: ".race", WithoutSpeakers: true, WithoutKubeProxy: true,
			Values: []string{"backends={fake}", "defaultBackend=fake", "speaker.enabled=false"}}
	}
	s := site.New(t, options)
	t.Cleanup(func() { check.Logs(t, s.Logs()...) })
	// The stories bring pools of their own.
	for _, object := range []client.Object{
		check.Object("L2Advertisement", site.Namespace, "all"),
		check.Object("IPAddressPool", site.Namespace, "small"),
		check.Object("IPAddressPool", site.Namespace, "large"),
	} {
		check.Must(t, s.API.Delete(t.Context(), object))
	}
	return &ground{
		api: s.API, namespace: site.Namespace, backend: backend, ranges: lab.Pool, pods: &labPods{lab: s.Lab},
		get: func(ctx context.Context, url string) error {
			status, _, err := s.Clients[0].Get(ctx, url)
			if err != nil {
				return err
			}
			return isOK(status)
		},
	}
}

// labPods are network namespaces behind the nodes of a lab: it has no kubelet.
type labPods struct {
	lab     *lab.Lab
	started map[string][]*lab.Pod
}

func (p *labPods) run(ctx context.Context, namespace, app string) error {
	if p.started == nil {
		p.started = map[string][]*lab.Pod{}
	}
	for i := range 2 {
		pod, err := p.lab.Nodes[i%len(p.lab.Nodes)].StartPod(ctx, namespace, fmt.Sprint(app, "-", i), app)
		if err != nil {
			return err
		}
		p.started[namespace+"/"+app] = append(p.started[namespace+"/"+app], pod)
	}
	return nil
}

func (p *labPods) end(ctx context.Context, namespace, app string) error {
	for _, pod := range p.started[namespace+"/"+app] {
		if err := pod.Delete(ctx); err != nil {
			return err
		}
	}
	delete(p.started, namespace+"/"+app)
	return nil
}
