package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/release"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// Names that users and other programs rely on.
const (
	finalizer         = "service.kubernetes.io/load-balancer-cleanup"
	lbcFinalizer      = "service.k8s.aws/resources"
	backendAnnotation = "berth-lb.dev/backend"
	appliedAnnotation = "berth-lb.dev/aws-applied"
	prefix            = "service.beta.kubernetes.io/aws-load-balancer-"

	provisioned = "berth-lb.dev/Provisioned"
	serving     = "berth-lb.dev/Serving"
)

// background outlives a test that is being cleaned up.
var background = context.Background()

// patience is how long something may take that takes a second or two on a
// machine with nothing else to do. AWS is asked every 10 s what became of
// something that takes time there.
const patience = 90 * time.Second

// lab is a test's part of a cluster: a namespace for configuration, one for
// Services, a class that only its own controllers serve, and an account.
type lab struct {
	t       *testing.T
	kube    *cluster.Cluster
	api     client.WithWatch
	account *Account
	// cluster is the name of the cluster in tags.
	cluster           string
	conf, apps, class string
	// kubeconfig gives the controller's access, as the chart has it.
	kubeconfig string
	// bare is what the account held at first.
	bare string
	// started are all controllers so far.
	started []*controller
}

// newLab makes a lab on the cluster that all tests share, with an account of its
// own.
func newLab(t *testing.T, name string, options fakeaws.Options) *lab {
	t.Helper()
	name = check.Unique(name)
	return labOn(t, kube, api, Open(t.Context(), name, nodes, options), name)
}

func labOn(t *testing.T, kube *cluster.Cluster, api client.WithWatch, account *Account, name string) *lab {
	t.Helper()
	l := &lab{t: t, kube: kube, api: api, account: account, cluster: name, conf: name + "-config", apps: name, class: "example.com/" + name}
	for _, namespace := range []string{l.conf, l.apps} {
		l.must(api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	}
	access, err := release.Account(t.Context(), kube, l.conf, "controller", "--set=backends={aws},clusterName="+name)
	l.must(err)
	l.kubeconfig, err = kube.WriteKubeconfig(l.conf, access)
	l.must(err)
	l.bare = account.Dump()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the calls:\n%s", l.calls())
		}
	})
	return l
}

func (l *lab) calls() string {
	var b strings.Builder
	for _, call := range l.account.Calls() {
		line := call.String()
		fmt.Fprintf(&b, "%s %s\n", call.Time.Format("15:04:05.000"), line[:min(len(line), 300)])
	}
	return b.String()
}

func (l *lab) must(err error) {
	l.t.Helper()
	check.Must(l.t, err)
}

// eventually is the function of that name with the usual patience. It also fails
// the test if a controller ends meanwhile.
func (l *lab) eventually(ask func() error) {
	l.t.Helper()
	check.Eventually(l.t, patience, func() error {
		err := ask()
		if err != nil && slices.ContainsFunc(l.started, (*controller).crashed) {
			l.t.Fatalf("berth-controller ended: %v", err)
		}
		return err
	})
}

// serviceOption is what is special about a Service.
type serviceOption func(*corev1.Service)

// annotated sets an annotation of the AWS Load Balancer Controller, without its
// prefix.
func annotated(key, value string) serviceOption {
	return func(svc *corev1.Service) { metav1.SetMetaDataAnnotation(&svc.ObjectMeta, prefix+key, value) }
}

func port(number int32, protocol corev1.Protocol) serviceOption {
	return func(svc *corev1.Service) {
		name := strings.ToLower(fmt.Sprintf("%s-%d", protocol, number))
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: name, Protocol: protocol, Port: number})
	}
}

// classless leaves the choice of the backend to annotations and the installation.
func classless(svc *corev1.Service) { svc.Spec.LoadBalancerClass = nil }

// create makes a Service of the lab's class, of port 80 and without selector.
func (l *lab) create(name string, options ...serviceOption) *corev1.Service {
	l.t.Helper()
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.apps, Name: name},
		Spec: corev1.ServiceSpec{
			Type:              corev1.ServiceTypeLoadBalancer,
			LoadBalancerClass: &l.class,
			Ports:             []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80}},
		},
	}
	for _, option := range options {
		option(svc)
	}
	l.must(l.api.Create(l.t.Context(), svc))
	return svc
}

// endpoints gives a Service some that are ready, of the same port as the Service.
func (l *lab) endpoints(svc *corev1.Service, addresses ...string) {
	l.t.Helper()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: l.apps, Name: svc.Name, Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	for _, p := range svc.Spec.Ports {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: &p.Port})
	}
	l.must(l.api.Create(l.t.Context(), slice))
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

// touch has a Service be looked at for no reason.
func (l *lab) touch(name string) {
	l.t.Helper()
	l.edit(name, func(svc *corev1.Service) {
		metav1.SetMetaDataLabel(&svc.ObjectMeta, "touched", fmt.Sprint(time.Now().UnixNano()))
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

// hostname is the only thing that the status of svc shows.
func hostname(svc *corev1.Service) string {
	if all := svc.Status.LoadBalancer.Ingress; len(all) == 1 && all[0].IP == "" {
		return all[0].Hostname
	}
	return ""
}

// served returns the Service once it has its load balancer, and all that it asks
// for was applied.
func (l *lab) served(name string) *corev1.Service {
	l.t.Helper()
	return l.until(name, func(svc *corev1.Service) error {
		switch {
		case hostname(svc) == "":
			return errors.New("the status shows no hostname")
		case svc.Annotations[appliedAnnotation] == "":
			return errors.New("something was not applied yet")
		}
		return check.Condition(svc, provisioned, metav1.ConditionTrue, "Provisioned")
	})
}

// refused returns the Service once its condition gives that reason and names all
// of those things.
func (l *lab) refused(name, reason string, named ...string) *corev1.Service {
	l.t.Helper()
	return l.until(name, func(svc *corev1.Service) error {
		return check.Condition(svc, provisioned, metav1.ConditionFalse, reason, named...)
	})
}

// released returns once nothing of ours is on a Service any more.
func (l *lab) released(name string) {
	l.t.Helper()
	l.until(name, func(svc *corev1.Service) error {
		switch {
		case slices.Contains(svc.Finalizers, finalizer) || slices.Contains(svc.Finalizers, lbcFinalizer):
			return errors.New("a finalizer is still there")
		case svc.Annotations[backendAnnotation] != "" || svc.Annotations[appliedAnnotation] != "":
			return errors.New("our annotations are still there")
		case len(svc.Status.LoadBalancer.Ingress) > 0 || len(svc.Status.Conditions) > 0:
			return errors.New("the status still shows something")
		}
		return nil
	})
}

// holds returns once the account holds exactly that.
func (l *lab) holds(want string) {
	l.t.Helper()
	l.eventually(func() error {
		if got := l.account.Dump(); got != want {
			return fmt.Errorf("the account holds something else:\n%s", Difference(want, got))
		}
		return nil
	})
}
