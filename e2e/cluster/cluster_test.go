package cluster_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

// A control plane starts soon, serves dual-stack Services, survives the loss
// of its API server and leaves nothing behind.
func TestLifeOfAControlPlane(t *testing.T) {
	ctx := t.Context()
	began := time.Now()
	c, err := cluster.Start(ctx, cluster.Options{})
	check.Must(t, err)
	defer c.Stop()
	if took := time.Since(began); took > cluster.Patience {
		t.Errorf("the start took %s", took)
	} else {
		t.Logf("the start took %s", took)
	}
	cl := newClient(t, c)

	svc := dualStackService("web")
	check.Must(t, cl.Create(ctx, svc))
	if n := len(svc.Spec.ClusterIPs); n != 2 {
		t.Errorf("a dual-stack Service got %d cluster IPs, want 2: %v", n, svc.Spec.ClusterIPs)
	}

	c.StopAPIServer()
	if err := cl.Get(ctx, client.ObjectKeyFromObject(svc), svc); err == nil {
		t.Error("the API server answers although it was stopped")
	}
	check.Must(t, c.StartAPIServer(ctx))
	got := &corev1.Service{}
	if err := cl.Get(ctx, client.ObjectKeyFromObject(svc), got); err != nil {
		t.Fatalf("after the API server came back: %v", err)
	}
	if !slices.Equal(got.Spec.ClusterIPs, svc.Spec.ClusterIPs) {
		t.Errorf("cluster IPs are %v, were %v", got.Spec.ClusterIPs, svc.Spec.ClusterIPs)
	}

	sleeper, err := c.Run(ctx, "/bin/sh", "-c", "exec sleep 600")
	check.Must(t, err)
	if n := len(children(t)); n != 3 {
		t.Errorf("%d processes run, want etcd, kube-apiserver and one more", n)
	}
	c.Stop()
	if left := children(t); len(left) > 0 {
		t.Errorf("Stop left processes: %v", left)
	}
	if err := sleeper.Wait(ctx); err == nil {
		t.Error("a program outlived the cluster")
	}
	if _, err := os.Stat(c.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stop left %s: %v", c.Dir(), err)
	}
}

// The controllers are real: a ready pod becomes an endpoint, and a namespace
// ends, even after the API server was away.
func TestControllerManager(t *testing.T) {
	ctx := t.Context()
	c := cluster.New(t, cluster.Options{ControllerManager: true})
	cl := newClient(t, c)
	if _, err := c.Apply(ctx, []byte(webYAML)); err != nil {
		t.Fatal(err)
	}

	pod := &corev1.Pod{}
	check.Must(t, cl.Get(ctx, client.ObjectKey{Namespace: "shop", Name: "web"}, pod))
	pod.Status = corev1.PodStatus{
		Phase:      corev1.PodRunning,
		PodIPs:     []corev1.PodIP{{IP: "10.0.1.5"}},
		PodIP:      "10.0.1.5",
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	check.Must(t, cl.Status().Update(ctx, pod))
	check.Eventually(t, 30*time.Second, func() error {
		slices := &discoveryv1.EndpointSliceList{}
		check.Must(t, cl.List(ctx, slices, client.InNamespace("shop")))
		return check.Is("the pod is an endpoint", len(slices.Items) == 1 && len(slices.Items[0].Endpoints) == 1 &&
			slices.Items[0].Endpoints[0].Addresses[0] == "10.0.1.5", true)
	})

	if out, err := c.Kubectl(ctx, "get", "endpointslices", "-n", "shop"); err != nil || !strings.Contains(out, "10.0.1.5") {
		t.Errorf("kubectl: %v\n%s", err, out)
	}

	c.StopAPIServer()
	check.Must(t, c.StartAPIServer(ctx))
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	check.Must(t, cl.Delete(ctx, namespace))
	grace := client.GracePeriodSeconds(0)
	if err := cl.Delete(ctx, pod, grace); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	check.Eventually(t, 30*time.Second, func() error {
		err := cl.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
		return check.Is("the namespace is gone", apierrors.IsNotFound(err), true)
	})
}

const webYAML = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 80}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  nodeName: node-1
  containers: [{name: web, image: none}]
`

// RBAC is on, and users, groups and ServiceAccounts are told apart.
func TestAccess(t *testing.T) {
	ctx := t.Context()
	c := cluster.New(t, cluster.Options{})
	admin := newClient(t, c)
	for _, object := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "reader"}},
		&rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: "read-services"},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"list"}}},
		},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "read-services"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "read-services"},
			Subjects: []rbacv1.Subject{
				{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "reader"},
				{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "readers"},
			},
		},
	} {
		check.Must(t, admin.Create(ctx, object))
	}

	for name, test := range map[string]struct {
		config func() (*rest.Config, error)
		may    bool
	}{
		"a ServiceAccount with the role": {func() (*rest.Config, error) {
			return c.ServiceAccountConfig(ctx, "default", "reader")
		}, true},
		"a member of the group": {func() (*rest.Config, error) { return c.ConfigFor("ann", "readers") }, true},
		"another user":          {func() (*rest.Config, error) { return c.ConfigFor("bob") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := test.config()
			check.Must(t, err)
			cl, err := client.New(cfg, client.Options{})
			check.Must(t, err)
			check.Eventually(t, 30*time.Second, func() error {
				err := cl.List(ctx, &corev1.ServiceList{})
				return check.Is("reading Services is forbidden", apierrors.IsForbidden(err), !test.may)
			})
			if err := cl.Create(ctx, dualStackService("mine")); !apierrors.IsForbidden(err) {
				t.Errorf("creating a Service: %v, want forbidden", err)
			}
		})
	}
}

func TestInstall(t *testing.T) {
	ctx := t.Context()
	c := cluster.New(t, cluster.Options{})
	dir := t.TempDir()
	if err := c.Install(ctx, dir); err == nil {
		t.Error("a folder without definitions was installed")
	}
	check.Must(t, os.WriteFile(filepath.Join(dir, "boats.yaml"), []byte(boatsYAML), 0o600))
	for range 2 { // the second time, all is there
		check.Must(t, c.Install(ctx, dir))
	}
	boat := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Boat",
		"metadata": map[string]any{"name": "dory", "namespace": "default"},
	}}
	if err := newClient(t, c).Create(ctx, boat); err != nil {
		t.Error(err)
	}
}

const boatsYAML = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, listKind: BoatList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object}}
`

// What keeps a control plane from starting is in the error.
func TestStartFails(t *testing.T) {
	for name, test := range map[string]struct {
		opts cluster.Options
		want string
	}{
		"not built":       {cluster.Options{Binary: filepath.Join(t.TempDir(), "kube")}, "no such file"},
		"a flag too many": {cluster.Options{APIServerArgs: []string{"--no-such-flag"}}, "unknown flag: --no-such-flag"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := cluster.Start(t.Context(), test.opts)
			if err == nil {
				c.Stop()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error does not say %q:\n%v", test.want, err)
			}
		})
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

func newClient(t *testing.T, c *cluster.Cluster) client.Client {
	t.Helper()
	cl, err := c.Client()
	check.Must(t, err)
	return cl
}

func dualStackService(name string) *corev1.Service {
	dual := corev1.IPFamilyPolicyRequireDualStack
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{
			Type:           corev1.ServiceTypeLoadBalancer,
			IPFamilyPolicy: &dual,
			Ports:          []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
}

// children are the processes that this one started and that still exist.
func children(t *testing.T) []string {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 {
		t.Skip("this system does not list the children of a process")
	}
	var pids []string
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids
}

// A test that crashes takes its control plane along: this one starts itself
// again and kills that.
func TestDiesWithItsParent(t *testing.T) {
	const play = "BERTH_CLUSTER_TEST_PARENT"
	if os.Getenv(play) != "" {
		if _, err := cluster.Start(t.Context(), cluster.Options{}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("children", children(t))
		select {}
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can have a child die with its parent")
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestDiesWithItsParent$")
	tmp := t.TempDir()
	parent.Env = append(os.Environ(), play+"=1", "TMPDIR="+tmp)
	out, err := parent.StdoutPipe()
	check.Must(t, err)
	check.Must(t, parent.Start())
	var said string
	for lines := bufio.NewScanner(out); said == "" && lines.Scan(); {
		said, _ = strings.CutPrefix(lines.Text(), "children ")
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	pids := strings.Fields(strings.Trim(said, "[]"))
	if len(pids) != 2 {
		t.Fatalf("the parent started processes %q, want two", said)
	}
	check.Eventually(t, 30*time.Second, func() error {
		return check.Is("a child is left", slices.ContainsFunc(pids, alive), false)
	})
}

func alive(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	// A zombie is dead, whether or not anyone collects it.
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
