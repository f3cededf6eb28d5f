//go:build linux

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
)

// Names that users and other programs rely on.
const (
	provisioned       = "berth-lb.dev/Provisioned"
	serving           = "berth-lb.dev/Serving"
	backendAnnotation = "berth-lb.dev/backend"
	poolAnnotation    = "metallb.io/address-pool"
	ipsAnnotation     = "metallb.io/loadBalancerIPs"
	sharingAnnotation = "metallb.io/allow-shared-ip"
)

// patience is how long a step may take on a slow machine that has to fetch an
// image before.
const patience = 2 * time.Minute

// scene is a story's part of a cluster: a namespace that is there as long.
type scene struct {
	*ground
	t    *testing.T
	ctx  context.Context
	home string
}

func newScene(t *testing.T, g *ground) *scene {
	t.Helper()
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "acceptance-"}}
	check.Must(t, g.api.Create(t.Context(), home))
	s := &scene{ground: g, t: t, ctx: t.Context(), home: home.Name}
	t.Cleanup(func() { s.leave(home) })
	return s
}

// leave has the next story find the cluster as this one did.
func (s *scene) leave(home *corev1.Namespace) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.ctx = ctx
	var services corev1.ServiceList
	s.must(s.api.List(ctx, &services, client.InNamespace(home.Name)))
	for _, svc := range services.Items {
		s.must(client.IgnoreNotFound(s.api.Delete(ctx, &svc)))
		s.gone(svc.Name)
	}
	s.must(s.api.Delete(ctx, home))
}

func (s *scene) must(err error) {
	s.t.Helper()
	check.Must(s.t, err)
}

// eventually is the function of that name with the usual patience.
func (s *scene) eventually(ask func() error) {
	s.t.Helper()
	check.Eventually(s.t, patience, ask)
}

// run has pods of an app until the story ends.
func (s *scene) run(app string) {
	s.t.Helper()
	s.must(s.pods.run(s.ctx, s.home, app))
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.pods.end(ctx, s.home, app); client.IgnoreNotFound(err) != nil {
			s.t.Error(err)
		}
	})
}

// option is what is special about a Service.
type option func(*corev1.Service)

func annotated(key, value string) option {
	return func(svc *corev1.Service) { metav1.SetMetaDataAnnotation(&svc.ObjectMeta, key, value) }
}

func ofClass(class string) option {
	return func(svc *corev1.Service) { svc.Spec.LoadBalancerClass = &class }
}

func port(number int32) option {
	return func(svc *corev1.Service) { svc.Spec.Ports[0].Port = number }
}

func local(svc *corev1.Service) {
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

func dualStack(svc *corev1.Service) {
	policy := corev1.IPFamilyPolicyPreferDualStack
	svc.Spec.IPFamilyPolicy = &policy
}

// create makes a Service for the pods of the app of its name.
func (s *scene) create(name string, options ...option) *corev1.Service {
	s.t.Helper()
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.home, Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(webPort)}},
		},
	}
	for _, option := range options {
		option(svc)
	}
	s.must(s.api.Create(s.ctx, svc))
	return svc
}

func (s *scene) read(name string) (*corev1.Service, error) {
	svc := &corev1.Service{}
	err := s.api.Get(s.ctx, client.ObjectKey{Namespace: s.home, Name: name}, svc)
	return svc, err
}

func (s *scene) edit(name string, change func(*corev1.Service)) {
	s.t.Helper()
	svc, err := s.read(name)
	s.must(err)
	before := svc.DeepCopy()
	change(svc)
	s.must(s.api.Patch(s.ctx, svc, client.MergeFrom(before)))
}

func (s *scene) delete(name string) {
	s.t.Helper()
	s.must(s.api.Delete(s.ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: s.home, Name: name}}))
	s.gone(name)
}

func (s *scene) gone(name string) {
	s.t.Helper()
	s.eventually(func() error { return check.Gone(s.read(name)) })
}

// until returns the Service once it is as it should be.
func (s *scene) until(name string, is func(*corev1.Service) error) *corev1.Service {
	s.t.Helper()
	var svc *corev1.Service
	s.eventually(func() (err error) {
		svc, err = s.read(name)
		return check.Wanted(svc, err, is)
	})
	return svc
}

// served returns the Service once it has addresses and says so.
func (s *scene) served(name string) *corev1.Service {
	s.t.Helper()
	return s.until(name, func(svc *corev1.Service) error {
		if len(svc.Status.LoadBalancer.Ingress) == 0 {
			return errors.New("it has no address")
		}
		return check.Condition(svc, provisioned, metav1.ConditionTrue, "Provisioned")
	})
}

// has returns the Service once it is served with just that address.
func (s *scene) has(name, want string) *corev1.Service {
	s.t.Helper()
	return s.until(name, func(svc *corev1.Service) error {
		if got := check.Addresses(svc); !slices.Equal(got, []string{want}) {
			return fmt.Errorf("its addresses are %v, want %s", got, want)
		}
		return check.Condition(svc, provisioned, metav1.ConditionTrue, "Provisioned")
	})
}

// refused returns once a Service without address says why, and names all of
// those things.
func (s *scene) refused(name, reason string, named ...string) {
	s.t.Helper()
	s.until(name, func(svc *corev1.Service) error {
		if got := check.Addresses(svc); len(got) > 0 {
			return fmt.Errorf("it has %v and should wait", got)
		}
		return check.Condition(svc, provisioned, metav1.ConditionFalse, reason, named...)
	})
}

// serves returns once a Service says that traffic reaches pods.
func (s *scene) serves(name string) *corev1.Service {
	s.t.Helper()
	return s.until(name, func(svc *corev1.Service) error {
		return check.Condition(svc, serving, metav1.ConditionTrue, "")
	})
}

// doesNotServe returns once a Service says for that reason that traffic reaches
// no pod.
func (s *scene) doesNotServe(name, reason string, named ...string) {
	s.t.Helper()
	s.until(name, func(svc *corev1.Service) error {
		return check.Condition(svc, serving, metav1.ConditionFalse, reason, named...)
	})
}

// reached returns once a client outside gets a page at every address of svc.
func (s *scene) reached(svc *corev1.Service) {
	s.t.Helper()
	for _, address := range check.Addresses(svc) {
		s.eventually(func() error { return s.ask(address, svc.Spec.Ports[0].Port) })
	}
}

// ask asks for a page once.
func (s *scene) ask(address string, port int32) error {
	ctx, cancel := context.WithTimeout(s.ctx, 3*time.Second)
	defer cancel()
	return s.get(ctx, "http://"+net.JoinHostPort(address, fmt.Sprint(port)))
}

// pool makes an IPAddressPool of single addresses until the story ends. It has
// to be asked for.
func (s *scene) pool(name string, all ...string) {
	s.t.Helper()
	pool := check.Object("IPAddressPool", s.namespace, name)
	pool.Object["spec"] = map[string]any{"addresses": single(all), "autoAssign": false}
	s.must(s.api.Create(s.ctx, pool))
	s.t.Cleanup(func() {
		if err := s.api.Delete(context.Background(), pool); client.IgnoreNotFound(err) != nil {
			s.t.Error(err)
		}
	})
}

// single are the ranges of one address each.
func single(all []string) []any {
	var ranges []any
	for _, one := range all {
		ranges = append(ranges, one+"-"+one)
	}
	return ranges
}

// widen gives a pool other addresses.
func (s *scene) widen(name string, all ...string) {
	s.t.Helper()
	pool := check.Object("IPAddressPool", s.namespace, name)
	s.must(s.api.Get(s.ctx, client.ObjectKeyFromObject(pool), pool))
	before := pool.DeepCopy()
	s.must(unstructured.SetNestedSlice(pool.Object, single(all), "spec", "addresses"))
	s.must(s.api.Patch(s.ctx, pool, client.MergeFrom(before)))
}
