//go:build linux

// Package site is a lab with Berth in it: a control plane, a segment with
// nodes, a controller, and a speaker on every node, all as the chart has them:
// with its ServiceAccounts, roles, flags and security settings.
package site

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
)

// Namespace is where Berth's objects are.
const Namespace = "berth-system"

// Patience is how long a step may take that has no limit of its own.
const Patience = 30 * time.Second

// Options say what to start. The zero value is three nodes and a client.
type Options struct {
	Nodes, Clients int
	// Routers join the segment, as peers of all nodes: see Routed.
	Routers []lab.RouterOptions
	// Suffix is that of the programs in bin, such as ".race".
	Suffix string
	// Values are further ones of the chart, as key=value.
	Values []string
	// SpeakerFlags come after the chart's.
	SpeakerFlags []string
	// ByHelm leaves all of Berth to the caller, who installs it, calls Configure
	// and gives the pods of its workloads a kubelet.
	ByHelm bool
	// WithoutSpeakers leaves them to the caller.
	WithoutSpeakers bool
	// WithoutController and WithoutKubeProxy leave those out.
	WithoutController, WithoutKubeProxy bool

	// dir keeps the logs; one that Stop removes if empty.
	dir string
	// audit notes what Berth asks the API server for.
	audit bool
}

// Site is a lab with Berth at work.
type Site struct {
	*lab.Lab
	Kube *cluster.Cluster
	API  client.WithWatch
	// Speakers are in the order of Nodes.
	Speakers   []*lab.Program
	Controller *cluster.Process
	opts       Options
	berth      berth
	excused    []string
}

// Start returns when every speaker has reported. The ctx bounds the start only.
func Start(ctx context.Context, opts Options) (*Site, error) {
	if err := lab.Available(opts.Routers...); err != nil {
		return nil, err
	}
	kube, err := cluster.Start(ctx, cluster.Options{ControllerManager: true, Workloads: opts.ByHelm, Dir: opts.dir, Audit: opts.audit})
	if err != nil {
		return nil, err
	}
	s := &Site{Kube: kube, opts: opts}
	if err := s.start(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// New starts a site that ends with the test. Where the machine can't have one
// the test is skipped, or fails if CI=true is set.
func New(t testing.TB, opts Options) *Site {
	t.Helper()
	lab.New(t, lab.Options{Nodes: -1, Clients: -1}).Stop()
	lab.Require(t, opts.Routers...)
	dir, err := os.MkdirTemp("", "berth-site-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs of the site are in %s", dir)
			return
		}
		_ = os.RemoveAll(dir)
	})
	opts.dir, opts.audit = dir, true
	s, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	t.Cleanup(func() { s.Allowed(t) })
	return s
}

// Allowed fails the test for what Berth asked of the API server and the chart's
// roles don't allow. It is called at the end of each test.
func (s *Site) Allowed(t testing.TB) {
	refused, err := s.Kube.Refused()
	if err != nil {
		t.Error(err)
	}
	for _, request := range refused {
		if !slices.Contains(s.excused, request) {
			t.Error(request)
		}
	}
}

// Excuse has Allowed pass over what was refused so far, and its like.
func (s *Site) Excuse() (err error) {
	s.excused, err = s.Kube.Refused()
	return err
}

func (s *Site) start(ctx context.Context) (err error) {
	if s.API, err = s.Kube.Client(metallb.AddToScheme, v1beta2.AddToScheme, v1beta1.AddToScheme); err != nil {
		return err
	}
	if !s.opts.ByHelm {
		if err := s.install(ctx); err != nil {
			return err
		}
	}
	s.Lab, err = lab.Start(ctx, lab.Options{
		Nodes: s.opts.Nodes, Clients: s.opts.Clients, Routers: s.opts.Routers,
		Cluster: s.Kube, WithoutKubeProxy: s.opts.WithoutKubeProxy,
	})
	if err != nil {
		return err
	}
	if s.opts.ByHelm {
		return nil
	}
	if err := s.Configure(ctx); err != nil {
		return err
	}
	if !s.opts.WithoutController {
		if err := s.startController(ctx); err != nil {
			return err
		}
	}
	if s.opts.WithoutSpeakers {
		return nil
	}
	return s.StartSpeakers(ctx)
}

// Stop ends everything.
func (s *Site) Stop() {
	if s.Lab != nil {
		s.Lab.Stop()
	}
	s.Kube.Stop()
}

// install has the API server know what the chart makes, in a namespace of its
// own.
func (s *Site) install(ctx context.Context) error {
	root, err := cluster.Root()
	if err != nil {
		return err
	}
	if err := s.Kube.Install(ctx, filepath.Join(root, "charts", "berth", "crds")); err != nil {
		return err
	}
	if err := s.create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}); err != nil {
		return err
	}
	return s.apply(ctx)
}

// Configure makes the pools of the segment, has all of them advertised there,
// and makes the routers peers of all nodes.
func (s *Site) Configure(ctx context.Context) error {
	manual := false
	err := s.create(ctx,
		&metallb.IPAddressPool{ObjectMeta: named("small"), Spec: metallb.IPAddressPoolSpec{Addresses: lab.Pool}},
		&metallb.IPAddressPool{ObjectMeta: named("large"), Spec: metallb.IPAddressPoolSpec{Addresses: lab.LargePool, AutoAssign: &manual}},
		&metallb.L2Advertisement{ObjectMeta: named("all"), Spec: metallb.L2AdvertisementSpec{IPAddressPools: []string{"small", "large"}}},
	)
	if err != nil {
		return err
	}
	return s.configureBGP(ctx)
}

func (s *Site) create(ctx context.Context, objects ...client.Object) error {
	for _, o := range objects {
		if err := s.API.Create(ctx, o); err != nil {
			return fmt.Errorf("configuring: %w", err)
		}
	}
	return nil
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: Namespace, Name: name}
}

// StartSpeakers starts one on each node, and returns when all have reported.
func (s *Site) StartSpeakers(ctx context.Context) error {
	for _, n := range s.Nodes {
		p, err := s.RunSpeaker(n)
		if err != nil {
			return err
		}
		s.Speakers = append(s.Speakers, p)
	}
	return s.Await(ctx, "all speakers report", func(ctx context.Context) (bool, error) {
		var states metallb.ConfigurationStateList
		err := s.API.List(ctx, &states, client.InNamespace(Namespace), client.MatchingLabels{"metallb.io/component-type": "speaker"})
		reported := 0
		for _, state := range states.Items {
			if strings.Contains(state.Annotations["berth-lb.dev/interfaces"], "eth0") {
				reported++
			}
		}
		return reported == len(s.Nodes), err
	})
}

// Await returns when what is described holds, or says what did not.
func (s *Site) Await(ctx context.Context, what string, holds func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	var last error
	for {
		ok, err := holds(ctx)
		if ok && err == nil {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waiting until %s: %w", what, ctx.Err()), last)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Serve creates a Service for the pods of app and returns it once it is served
// and each of its addresses on the segment is announced.
func (s *Site) Serve(ctx context.Context, name, app string, change ...func(*corev1.Service)) (*corev1.Service, error) {
	svc := lab.NewService("default", name, app)
	nodePorts := false
	svc.Spec.AllocateLoadBalancerNodePorts = &nodePorts
	for _, f := range change {
		f(svc)
	}
	if err := s.API.Create(ctx, svc); err != nil {
		return nil, err
	}
	return svc, s.Await(ctx, name+" is served", func(ctx context.Context) (bool, error) {
		return s.Serving(ctx, svc)
	})
}

// Serving reads a Service anew and says whether it is served.
func (s *Site) Serving(ctx context.Context, svc *corev1.Service) (bool, error) {
	if err := s.API.Get(ctx, client.ObjectKeyFromObject(svc), svc); err != nil {
		return false, err
	}
	c := meta.FindStatusCondition(svc.Status.Conditions, "berth-lb.dev/Serving")
	if c == nil || c.Status != metav1.ConditionTrue {
		return false, fmt.Errorf("its condition is %+v", c)
	}
	owners, err := s.Owners(ctx)
	for _, addr := range Addresses(svc) {
		if lab.OnSegment(addr) && owners[addr] == "" {
			return false, err
		}
	}
	return err == nil, err
}

// Addresses are those of a Service, as its status has them.
func Addresses(svc *corev1.Service) []netip.Addr {
	var all []netip.Addr
	for _, in := range svc.Status.LoadBalancer.Ingress {
		all = append(all, netip.MustParseAddr(in.IP))
	}
	return all
}

// Owners are the nodes on record as announcing each address.
func (s *Site) Owners(ctx context.Context) (map[netip.Addr]string, error) {
	var list metallb.ServiceL2StatusList
	if err := s.API.List(ctx, &list, client.InNamespace(Namespace)); err != nil {
		return nil, err
	}
	owners := map[netip.Addr]string{}
	for i := range list.Items {
		if r, ok := announce.RecordOf(&list.Items[i]); ok && r.Node != "" {
			owners[r.Address] = r.Node
		}
	}
	return owners, nil
}

// Node returns the node of that name.
func (s *Site) Node(name string) *lab.Node {
	return s.Nodes[slices.IndexFunc(s.Nodes, func(n *lab.Node) bool { return n.Name == name })]
}

// Speaker returns the speaker of the node of that name.
func (s *Site) Speaker(name string) *lab.Program {
	return s.Speakers[slices.IndexFunc(s.Nodes, func(n *lab.Node) bool { return n.Name == name })]
}
