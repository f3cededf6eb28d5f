package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/providers/aws"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

const (
	awsCluster = "bench"
	awsRegion  = "eu-west-1"
	// awsCrowd is how many Services there are where it is about many.
	awsCrowd = 500
	// awsPace is how much faster than at AWS everything happens at the fake: a
	// minute here is ten there.
	awsPace = 10
	// awsPoll is the provider's own pause between looks, at that pace.
	awsPoll = 10 * time.Second / awsPace
	// awsNodes is how many nodes the cluster has at first.
	awsNodes = 12
)

// measureAWS counts the calls that the provider makes. What takes long by
// waiting runs beside the rest: each measure has an account of its own.
func measureAWS(ctx context.Context, b *bench) error {
	var resting []figure
	var restErr error
	var wg sync.WaitGroup
	wg.Go(func() { resting, restErr = awsAtRest(ctx, b) })
	figures, err := b.awsInTurn(ctx)
	wg.Wait()
	for _, f := range append(figures, resting...) {
		b.add(f)
	}
	return errors.Join(err, restErr)
}

func (b *bench) awsInTurn(ctx context.Context) (figures []figure, errs error) {
	for _, measure := range []func(context.Context, *bench) ([]figure, error){awsOne, awsMany, awsRolling} {
		more, err := measure(ctx, b)
		figures = append(figures, more...)
		if errs = errors.Join(errs, err); ctx.Err() != nil {
			break
		}
	}
	return figures, errs
}

// account is a fake AWS with a cluster in it, and what an API server would have
// of that.
type account struct {
	cloud *fakeaws.Cloud
	url   string

	mu       sync.Mutex
	site     fakeaws.Site
	nodes    []*corev1.Node             // replaced, never modified
	services map[string]*corev1.Service // the same
	pods     map[string]*deployment     // of ip targets, by Service
}

// openAccount starts a fake AWS until ctx ends: with quotas that have room, and
// at awsPace.
func openAccount(ctx context.Context) *account {
	delays := fakeaws.AWSDelays()
	for _, d := range []*time.Duration{&delays.Provisioning, &delays.Healthy, &delays.Detach, &delays.Release, &delays.Tagging} {
		*d /= awsPace
	}
	a := &account{
		cloud: fakeaws.New(fakeaws.Options{
			Region:  awsRegion,
			Latency: 100 * time.Millisecond / awsPace,
			Limits:  fakeaws.Limits{LoadBalancers: 2 * awsCrowd},
			Delays:  delays,
			Buckets: awsBuckets(),
		}),
		services: map[string]*corev1.Service{},
		pods:     map[string]*deployment{},
	}
	a.url = a.cloud.Start(ctx)
	a.site = a.cloud.AddEKS(fakeaws.EKS{Cluster: awsCluster, Nodes: awsNodes})
	for _, n := range a.site.Nodes {
		a.nodes = append(a.nodes, nodeOf(n))
	}
	return a
}

// awsBuckets are AWS's, of the documented sizes and refilled at awsPace.
func awsBuckets() []fakeaws.Bucket {
	all := fakeaws.AWSBuckets()
	for i := range all {
		all[i].Refill *= awsPace
	}
	return all
}

// soonest is how long calls take that find all buckets full, by action and
// service as in ec2:CreateTags, at the pace of what is refilled.
func soonest(calls map[string]int) time.Duration {
	taken := map[string]int{}
	var longest float64
	for action, n := range calls {
		for _, bucket := range awsBuckets() {
			if match, _ := path.Match(bucket.Actions, action); !match {
				continue
			}
			key := bucket.Actions
			if bucket.Each {
				key = action
			}
			taken[key] += n
			longest = max(longest, (float64(taken[key])-bucket.Size)/bucket.Refill)
			break
		}
	}
	return time.Duration(longest * float64(time.Second))
}

func nodeOf(n fakeaws.Node) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Instance}, Spec: corev1.NodeSpec{ProviderID: n.ProviderID}}
}

// join adds a node.
func (a *account) join() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nodes = append(slices.Clip(a.nodes), nodeOf(a.site.AddNode(a.cloud)))
}

// relabel changes a node in a way that matters to no Service.
func (a *account) relabel() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nodes = slices.Clone(a.nodes)
	a.nodes[0] = a.nodes[0].DeepCopy()
	metav1.SetMetaDataLabel(&a.nodes[0].ObjectMeta, "example.com/rack", fmt.Sprint(len(a.nodes)))
}

// balanced is a Service with a port that nodes answer on.
func balanced(name string, nodePort int) *corev1.Service {
	svc := service(name, new(annotation.LoadBalancerClass))
	svc.UID = types.UID(name)
	svc.Spec.AllocateLoadBalancerNodePorts = nil
	svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	svc.Spec.Ports = []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: int32(nodePort)}}
	svc.Annotations = map[string]string{}
	return svc
}

// nodePortOf is that of the i-th Service of many: they lie apart, as an API
// server gives them.
func nodePortOf(i int) int { return 30000 + 5*i }

func (a *account) put(svc *corev1.Service) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.services[svc.Name] = svc
}

func (a *account) get(name string) (*corev1.Service, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	svc, ok := a.services[name]
	return svc, ok
}

func (a *account) all() []*corev1.Service {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.services))
}

// active counts the Services whose load balancers are complete and active: only
// then their hash is kept.
func (a *account) active() (n int) {
	for _, svc := range a.all() {
		if svc.Annotations[annotation.KeyApplied] != "" {
			n++
		}
	}
	return n
}

// clients are the SDK's, with the provider's own settings.
func (a *account) clients() aws.Clients {
	return aws.NewClients(sdk.Config{
		Region:       awsRegion,
		BaseEndpoint: &a.url,
		Credentials: sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
			return sdk.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "example"}, nil
		}),
	})
}

// await waits until done, or fails with what was waited for.
func await(ctx context.Context, what string, patience time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s: not within %v", what, patience))
	defer cancel()
	for !done() {
		if pause(ctx, 5*time.Millisecond) != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// quiet waits until no call has been made for so long.
func (a *account) quiet(ctx context.Context, long time.Duration) error {
	seen, since := len(a.cloud.Calls()), time.Now()
	return await(ctx, "no more calls", 5*time.Minute, func() bool {
		if n := len(a.cloud.Calls()); n != seen {
			seen, since = n, time.Now()
		}
		return time.Since(since) >= long
	})
}

// tally is what became of some calls.
type tally struct {
	all, changes, throttled, failed int
	by                              map[string]int // those that were not throttled
}

func tallyOf(calls []fakeaws.Call) tally {
	t := tally{all: len(calls), by: map[string]int{}}
	for _, c := range calls {
		if c.Changes() {
			t.changes++
		}
		switch {
		case c.Throttled:
			t.throttled++
			continue
		case c.Code != "":
			t.failed++
		}
		t.by[c.Action]++
	}
	return t
}

// String lists the actions, the most frequent first.
func (t tally) String() string {
	actions := slices.Collect(maps.Keys(t.by))
	slices.SortFunc(actions, func(x, y string) int {
		if t.by[x] != t.by[y] {
			return t.by[y] - t.by[x]
		}
		return strings.Compare(x, y)
	})
	for i, action := range actions {
		actions[i] = fmt.Sprintf("%d %s", t.by[action], action)
	}
	return strings.Join(actions, ", ")
}

// sequence lists the actions of calls as they came.
func sequence(calls []fakeaws.Call) string {
	var actions []string
	for _, c := range calls {
		actions = append(actions, c.Action)
	}
	return strings.Join(actions, ", ")
}
