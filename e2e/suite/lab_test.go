package suite

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/release"
)

// Names that users and other programs rely on.
const (
	finalizer         = "service.kubernetes.io/load-balancer-cleanup"
	backendAnnotation = "berth-lb.dev/backend"
	fromAnnotation    = "metallb.io/ip-allocated-from-pool"
	poolAnnotation    = "metallb.io/address-pool"
	ipsAnnotation     = "metallb.io/loadBalancerIPs"
	sharingAnnotation = "metallb.io/allow-shared-ip"
	legacyPrefix      = "metallb.universe.tf/"

	provisioned = "berth-lb.dev/Provisioned"
	serving     = "berth-lb.dev/Serving"
)

// lab is a test's part of a cluster: a namespace for configuration, one for
// Services, and a class that only its own controllers serve.
type lab struct {
	t     *testing.T
	kube  *cluster.Cluster
	api   client.WithWatch
	conf  string
	apps  string
	class string
	// access is the controller's, as the chart has it, and kubeconfig the file that
	// gives it.
	access     *rest.Config
	kubeconfig string
}

// newLab makes a lab on the cluster that all tests share.
func newLab(t *testing.T, name string) *lab {
	t.Helper()
	return labOn(t, kube, api, name)
}

func labOn(t *testing.T, on *cluster.Cluster, api client.WithWatch, name string) *lab {
	t.Helper()
	name = check.Unique(name)
	l := &lab{t: t, kube: on, api: api, conf: name + "-config", apps: name, class: "example.com/" + name}
	for _, namespace := range []string{l.conf, l.apps} {
		l.must(api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	}
	var err error
	l.access, err = release.Account(t.Context(), on, l.conf, "controller", "--set=backends={pool,fake,cloud}")
	l.must(err)
	l.kubeconfig, err = on.WriteKubeconfig(l.conf, l.access)
	l.must(err)
	return l
}

// in is the lab as a subtest uses it.
func (l *lab) in(t *testing.T) *lab {
	sub := *l
	sub.t = t
	return &sub
}

func (l *lab) must(err error) {
	l.t.Helper()
	check.Must(l.t, err)
}

// eventually is the function of that name with the usual patience.
func (l *lab) eventually(ask func() error) {
	l.t.Helper()
	check.Eventually(l.t, patience, ask)
}

// start runs a controller for the configuration and the class of the lab.
// Flags come after its own and win.
func (l *lab) start(flags ...string) *controller {
	l.t.Helper()
	return startController(l.t, l.kube, append([]string{
		"--kubeconfig=" + l.kubeconfig,
		"--namespace=" + l.conf,
		"--load-balancer-class=pool=" + l.class,
		"--metrics-bind-address=0",
		"--health-probe-bind-address=0",
	}, flags...)...)
}

// serviceOption is what is special about a Service.
type serviceOption func(*corev1.Service)

func annotated(key, value string) serviceOption {
	return func(svc *corev1.Service) { metav1.SetMetaDataAnnotation(&svc.ObjectMeta, key, value) }
}

func labelled(key, value string) serviceOption {
	return func(svc *corev1.Service) { metav1.SetMetaDataLabel(&svc.ObjectMeta, key, value) }
}

// classless leaves the choice of the backend to the installation.
func classless(svc *corev1.Service) { svc.Spec.LoadBalancerClass = nil }

func ofClass(class string) serviceOption {
	return func(svc *corev1.Service) { svc.Spec.LoadBalancerClass = &class }
}

func port(protocol corev1.Protocol, number int32) serviceOption {
	return func(svc *corev1.Service) {
		svc.Spec.Ports = []corev1.ServicePort{{Protocol: protocol, Port: number}}
	}
}

func selecting(app string) serviceOption {
	return func(svc *corev1.Service) { svc.Spec.Selector = map[string]string{"app": app} }
}

func local(svc *corev1.Service) {
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

func families(policy corev1.IPFamilyPolicy, all ...corev1.IPFamily) serviceOption {
	return func(svc *corev1.Service) { svc.Spec.IPFamilyPolicy, svc.Spec.IPFamilies = &policy, all }
}

// create makes a Service of the lab's class, without node ports: there are too
// few of them for all tests.
func (l *lab) create(name string, options ...serviceOption) *corev1.Service {
	l.t.Helper()
	nodePorts := false
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.apps, Name: name},
		Spec: corev1.ServiceSpec{
			Type:                          corev1.ServiceTypeLoadBalancer,
			LoadBalancerClass:             &l.class,
			AllocateLoadBalancerNodePorts: &nodePorts,
			Selector:                      map[string]string{"app": name},
			Ports:                         []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 80}},
		},
	}
	for _, option := range options {
		option(svc)
	}
	l.must(l.api.Create(l.t.Context(), svc))
	return svc
}

func (l *lab) read(name string) (*corev1.Service, error) {
	svc := &corev1.Service{}
	err := l.api.Get(l.t.Context(), client.ObjectKey{Namespace: l.apps, Name: name}, svc)
	return svc, err
}

func (l *lab) get(name string) *corev1.Service {
	l.t.Helper()
	svc, err := l.read(name)
	l.must(err)
	return svc
}

// edit changes a Service, as kubectl edit does.
func (l *lab) edit(name string, change func(*corev1.Service)) {
	l.t.Helper()
	svc := l.get(name)
	before := svc.DeepCopy()
	change(svc)
	l.must(l.api.Patch(l.t.Context(), svc, client.MergeFrom(before)))
}

// annotate sets an annotation of a Service; empty removes it.
func (l *lab) annotate(name, key, value string) {
	l.t.Helper()
	l.edit(name, func(svc *corev1.Service) {
		if value == "" {
			delete(svc.Annotations, key)
			return
		}
		metav1.SetMetaDataAnnotation(&svc.ObjectMeta, key, value)
	})
}

// editStatus changes the status of a Service, which is not for users to do.
func (l *lab) editStatus(name string, change func(*corev1.ServiceStatus)) {
	l.t.Helper()
	svc := l.get(name)
	before := svc.DeepCopy()
	change(&svc.Status)
	l.must(l.api.Status().Patch(l.t.Context(), svc, client.MergeFrom(before)))
}

// show puts addresses into the status of a Service, as MetalLB does.
func (l *lab) show(name string, addresses ...string) {
	l.t.Helper()
	l.editStatus(name, func(status *corev1.ServiceStatus) {
		status.LoadBalancer.Ingress = nil
		for _, address := range addresses {
			status.LoadBalancer.Ingress = append(status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: address})
		}
	})
}

func (l *lab) delete(name string) {
	l.t.Helper()
	l.must(l.api.Delete(l.t.Context(), l.get(name)))
}

// gone returns once a Service is no more.
func (l *lab) gone(name string) {
	l.t.Helper()
	l.eventually(func() error { return check.Gone(l.read(name)) })
}

// until returns the Service once it is as it should be.
func (l *lab) until(name string, is func(*corev1.Service) error) *corev1.Service {
	l.t.Helper()
	var svc *corev1.Service
	l.eventually(func() (err error) {
		svc, err = l.read(name)
		return check.Wanted(svc, err, is)
	})
	return svc
}

// served returns the Service once its status shows addresses that are its own
// by all signs.
func (l *lab) served(name string) *corev1.Service {
	l.t.Helper()
	return l.until(name, func(svc *corev1.Service) error {
		if len(svc.Status.LoadBalancer.Ingress) == 0 {
			return errors.New("no address")
		}
		return check.Condition(svc, provisioned, metav1.ConditionTrue, "Provisioned")
	})
}

// has returns the Service once it is served with exactly those addresses.
func (l *lab) has(name string, want ...string) *corev1.Service {
	l.t.Helper()
	return l.until(name, func(svc *corev1.Service) error {
		if got := check.Addresses(svc); !slices.Equal(got, want) {
			return fmt.Errorf("its addresses are %v, want %v", got, want)
		}
		return check.Condition(svc, provisioned, metav1.ConditionTrue, "Provisioned")
	})
}

// address returns the only address of a Service once it has it.
func (l *lab) address(name string) string {
	l.t.Helper()
	all := check.Addresses(l.served(name))
	if len(all) != 1 {
		l.t.Fatalf("Service %s has the addresses %v, want one", name, all)
	}
	return all[0]
}

// refused returns the Service once its condition gives that reason and names
// all of those things, and its status shows no address.
func (l *lab) refused(name, reason string, named ...string) *corev1.Service {
	l.t.Helper()
	return l.until(name, func(svc *corev1.Service) error {
		if got := check.Addresses(svc); len(got) > 0 {
			return fmt.Errorf("it has %v and should wait", got)
		}
		return check.Condition(svc, provisioned, metav1.ConditionFalse, reason, named...)
	})
}

// untouched fails the test if anything of ours is on a Service.
func (l *lab) untouched(name string) {
	l.t.Helper()
	svc := l.get(name)
	if len(svc.Finalizers) > 0 || len(svc.Status.Conditions) > 0 || len(svc.Status.LoadBalancer.Ingress) > 0 || len(svc.Annotations) > 0 {
		l.t.Errorf("Service %s is none of ours and was touched: %s", name, check.Describe(svc))
	}
}

// bare returns the Service once nothing of ours is on it any more.
func (l *lab) bare(name string) *corev1.Service {
	l.t.Helper()
	return l.until(name, func(svc *corev1.Service) error {
		switch {
		case slices.Contains(svc.Finalizers, finalizer):
			return errors.New("our finalizer is still there")
		case svc.Annotations[backendAnnotation] != "" || svc.Annotations[fromAnnotation] != "":
			return errors.New("our annotations are still there")
		case len(svc.Status.LoadBalancer.Ingress) > 0:
			return errors.New("the status still shows an address")
		case len(svc.Status.Conditions) > 0:
			return errors.New("conditions are still there")
		}
		return nil
	})
}

// events returns how often an event with that reason was sent for a Service.
func (l *lab) events(name, reason string) int {
	l.t.Helper()
	return check.Events(l.t, l.api, l.apps, name, reason)
}

// neverTwice has the test fail if ever, from now to its end, a Service gets an
// address that another one still shows, unless they share it. A watch tells
// every state that there was.
func (l *lab) neverTwice() {
	l.t.Helper()
	w, err := l.api.Watch(l.t.Context(), &corev1.ServiceList{}, client.InNamespace(l.apps))
	l.must(err)
	var found []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		now := map[string]*corev1.Service{}
		for event := range w.ResultChan() {
			svc, ok := event.Object.(*corev1.Service)
			if !ok {
				continue
			}
			switch event.Type {
			case watch.Deleted:
				delete(now, svc.Name)
				continue
			case watch.Modified:
				found = append(found, doubles(svc, now)...)
			}
			now[svc.Name] = svc
		}
	}()
	l.t.Cleanup(func() {
		// Long enough for the last event to come through.
		time.Sleep(50 * time.Millisecond)
		w.Stop()
		<-done
		for _, problem := range found {
			l.t.Error(problem)
		}
	})
}

// doubles are the addresses that came into the status of svc while that of
// another Service showed them.
func doubles(svc *corev1.Service, now map[string]*corev1.Service) []string {
	var found []string
	before := &corev1.Service{}
	if now[svc.Name] != nil {
		before = now[svc.Name]
	}
	for _, address := range check.Addresses(svc) {
		if slices.Contains(check.Addresses(before), address) {
			continue
		}
		for name, other := range now {
			shared := keyOf(svc) != "" && keyOf(svc) == keyOf(other)
			if name != svc.Name && !shared && slices.Contains(check.Addresses(other), address) {
				found = append(found, fmt.Sprintf("Service %s shows %s, which %s shows too, from resource version %s on", svc.Name, address, name, svc.ResourceVersion))
			}
		}
	}
	return found
}

// keyOf is what svc shares its address under.
func keyOf(svc *corev1.Service) string {
	return cmp.Or(svc.Annotations[sharingAnnotation], svc.Annotations[legacyPrefix+"allow-shared-ip"])
}
