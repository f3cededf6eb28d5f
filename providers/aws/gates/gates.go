// Package gates answers the readiness gates of pods that wait until load
// balancers find them healthy.
package gates

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/berth-lb/berth/providers"
)

const (
	// Prefix is how the gates begin that are answered. What follows is the name of
	// a target group, where the AWS Load Balancer Controller has put it in.
	Prefix = "target-health.elbv2.k8s.aws/"
	// Own is the gate of no target group in particular.
	Own = Prefix + "berth"
)

// patience is how long a pod that is new is waited for: what is not known of it
// then follows by a wake-up.
const patience = 5 * time.Second

// Pods are the pods of a cluster.
type Pods interface {
	Get(ctx context.Context, namespace, name string) (*corev1.Pod, error)
	// Watch tells what becomes of a pod after that version of it.
	Watch(ctx context.Context, pod *corev1.Pod) (watch.Interface, error)
	// SetCondition writes one condition to that life of a pod.
	SetCondition(ctx context.Context, pod *corev1.Pod, c corev1.PodCondition) error
}

// Gates follows those pods behind Services that are not ready, and opens the
// gates of those that are healthy targets. Run has to run beside it.
type Gates struct {
	pods Pods
	wake providers.Wake
	log  logr.Logger
	// begin says that there are fresh followers, which Run is to run.
	begin chan struct{}

	mu       sync.Mutex
	fresh    []*follower
	services map[providers.Key]*service
	// followed are the pods that Services have, or had a moment ago.
	followed map[pod]*follower
}

// pod is one life of a pod.
type pod struct {
	namespace, name string
	uid             types.UID
}

// service is what is known of a Service that has pods which are not ready.
type service struct {
	// pods are those, with their addresses.
	pods map[pod][]string
	// targetGroups are the names of those that the Service has, and trouble is
	// what is in the way of its targets, by address.
	targetGroups []string
	trouble      map[string]string
}

// New returns Gates that follow nobody yet.
func New(pods Pods, wake providers.Wake, log logr.Logger) *Gates {
	return &Gates{
		pods: pods, wake: wake, log: log,
		begin:    make(chan struct{}, 1),
		services: map[providers.Key]*service{},
		followed: map[pod]*follower{},
	}
}

// Run follows pods until ctx ends.
func (g *Gates) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-g.begin:
		case <-ctx.Done():
			return nil
		}
		g.mu.Lock()
		fresh := g.fresh
		g.fresh = nil
		g.mu.Unlock()
		for _, f := range fresh {
			wg.Go(func() { f.run(ctx) })
		}
	}
}

// signal is a send on a channel of one that nobody waits for.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Waiting returns the addresses among all whose pods are ready but for gates that
// are answered here. The Service is woken when that changes. With no slices it is
// forgotten.
func (g *Gates) Waiting(ctx context.Context, key providers.Key, all []*discoveryv1.EndpointSlice) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	unready := unreadyPods(all)
	followers := g.follow(key, unready)
	for _, f := range followers {
		select {
		case <-f.known:
		case <-ctx.Done():
		}
	}
	waiting := map[string]bool{}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range followers {
		for _, address := range unready[f.pod] {
			if f.waits {
				waiting[address] = true
			}
		}
	}
	return waiting
}

// unreadyPods returns those pods that may become ready, with their addresses.
func unreadyPods(all []*discoveryv1.EndpointSlice) map[pod][]string {
	pods := map[pod][]string{}
	for _, s := range all {
		for _, e := range s.Endpoints {
			unready := e.Conditions.Ready != nil && !*e.Conditions.Ready
			ending := e.Conditions.Terminating != nil && *e.Conditions.Terminating
			if ref := e.TargetRef; unready && !ending && ref != nil && ref.Kind == "Pod" && len(e.Addresses) > 0 {
				p := pod{s.Namespace, ref.Name, ref.UID}
				pods[p] = append(pods[p], e.Addresses[0])
			}
		}
	}
	return pods
}

// follow has a Service have these pods and no others. It returns who follows them.
func (g *Gates) follow(key providers.Key, pods map[pod][]string) []*follower {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := service{}
	if s := g.services[key]; s != nil {
		was = *s
	}
	now := &service{pods: pods, targetGroups: was.targetGroups, trouble: map[string]string{}}
	var followers []*follower
	for p, addresses := range pods {
		f := g.follower(p)
		f.services[key] = true
		followers = append(followers, f)
		for _, address := range addresses {
			// What was said of a pod that had the address before says nothing.
			if trouble, known := was.trouble[address]; known && slices.Contains(was.pods[p], address) {
				now.trouble[address] = trouble
			}
		}
	}
	if g.services[key] = now; len(pods) == 0 {
		delete(g.services, key)
	}
	for p := range was.pods {
		if _, still := pods[p]; !still {
			g.leave(p, key)
		}
	}
	return followers
}

// follower returns that of a pod, and has it begin. The lock is held.
func (g *Gates) follower(p pod) *follower {
	f := g.followed[p]
	if f == nil {
		f = newFollower(g, p)
		g.followed[p] = f
		g.fresh = append(g.fresh, f)
		signal(g.begin)
	}
	return f
}

// leave notes that a Service does not have a pod any more. The lock is held.
func (g *Gates) leave(p pod, key providers.Key) {
	f := g.followed[p]
	delete(f.services, key)
	if len(f.services) == 0 && f.over {
		delete(g.followed, p)
	}
	signal(f.news)
}

// Looked is told how the targets of a Service are: the names of its target groups
// and, by address, what is in the way of each that waits; nothing where it is
// healthy wherever it is a target.
func (g *Gates) Looked(key providers.Key, targetGroups []string, trouble map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.services[key]
	if s == nil || slices.Equal(s.targetGroups, targetGroups) && maps.Equal(s.trouble, trouble) {
		return
	}
	s.targetGroups, s.trouble = targetGroups, trouble
	for p := range s.pods {
		signal(g.followed[p].news)
	}
}

// verdict is what Services say of a pod.
type verdict struct {
	// orphaned says that none has it.
	orphaned bool
	// trouble is what is in the way; empty if nothing is.
	trouble string
	// targetGroups are the names of all that the Services have.
	targetGroups []string
}

// judge returns what all Services together say of a pod. The lock is held.
func (g *Gates) judge(f *follower) verdict {
	v := verdict{orphaned: len(f.services) == 0}
	keys := slices.SortedFunc(maps.Keys(f.services), func(a, b providers.Key) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		s := g.services[key]
		v.targetGroups = append(v.targetGroups, s.targetGroups...)
		for _, address := range slices.Sorted(slices.Values(s.pods[f.pod])) {
			trouble, known := s.trouble[address]
			if !known {
				trouble = "not a target yet"
			}
			if trouble != "" && v.trouble == "" {
				v.trouble = "Service " + key.String() + ": " + trouble
			}
		}
	}
	return v
}
