package speaker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// shelf keeps what decisions need of the objects of one kind, by the Service
// that they are about. An informer would keep the objects and two indexes: ten
// times as much, of the kinds of which there are as many as Services.
//
// It is the store of a reflector, which fills it and has it follow.
type shelf[T client.Object, V any] struct {
	// keep returns the Service that an object is about, the zero name for none,
	// and what to keep.
	keep func(T) (types.NamespacedName, V)
	// same says whether nothing is to be decided anew where one takes the place
	// of the other.
	same func(before, after V) bool
	// trim makes an object small that waits to be kept.
	trim func(T)
	// changed is told of Services whose objects come, go or change after the
	// first list, which is for a start to look at. It must not block.
	changed func(service types.NamespacedName)

	mu      sync.Mutex
	objects map[types.NamespacedName]*kept[V]
	// services has the objects of each sorted by name, in slices that don't
	// change.
	services map[types.NamespacedName][]*kept[V]
	synced   chan struct{}
}

// kept is what is kept of one object. It doesn't change.
type kept[V any] struct {
	name    types.NamespacedName
	service types.NamespacedName
	value   V
}

func newShelf[T client.Object, V any](keep func(T) (types.NamespacedName, V), same func(before, after V) bool, trim func(T), changed func(types.NamespacedName)) *shelf[T, V] {
	return &shelf[T, V]{keep: keep, same: same, trim: trim, changed: changed, synced: make(chan struct{}),
		objects: map[types.NamespacedName]*kept[V]{}, services: map[types.NamespacedName][]*kept[V]{}}
}

// of returns what is kept for a Service, sorted by name. It is not changed
// later.
func (s *shelf[T, V]) of(service types.NamespacedName) []*kept[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.services[service]
}

// get returns what is kept of one object, nil for nothing.
func (s *shelf[T, V]) get(name types.NamespacedName) *kept[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[name]
}

// about returns all Services that something is kept for.
func (s *shelf[T, V]) about() []types.NamespacedName {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]types.NamespacedName, 0, len(s.services))
	for service := range s.services {
		all = append(all, service)
	}
	return all
}

// Add, Update, Delete and Replace are what the reflector calls.
func (s *shelf[T, V]) Add(o any) error {
	object, ok := o.(T)
	if !ok {
		return errors.New("not of the kind that is watched")
	}
	service, value := s.keep(object)
	name := types.NamespacedName{Namespace: one(object.GetNamespace()), Name: object.GetName()}
	s.put(name, &kept[V]{name, service, value})
	return nil
}

func (s *shelf[T, V]) Update(o any) error { return s.Add(o) }

func (s *shelf[T, V]) Delete(o any) error {
	object, ok := o.(T)
	if !ok {
		return errors.New("not of the kind that is watched")
	}
	s.put(client.ObjectKeyFromObject(object), nil)
	return nil
}

func (s *shelf[T, V]) Replace(all []any, _ string) error {
	gone := s.names()
	for _, o := range all {
		if err := s.Add(o); err != nil {
			return err
		}
		delete(gone, client.ObjectKeyFromObject(o.(T)))
	}
	for name := range gone {
		s.put(name, nil)
	}
	if !s.full() {
		close(s.synced)
	}
	return nil
}

// Transformer makes objects small for as long as the first list is not whole.
func (s *shelf[T, V]) Transformer() cache.TransformFunc {
	return func(o any) (any, error) {
		if object, ok := o.(T); ok {
			s.trim(object)
		}
		return o, nil
	}
}

// Resync does nothing: a reflector without a period never asks for it.
func (s *shelf[T, V]) Resync() error { return nil }

func (s *shelf[T, V]) names() map[types.NamespacedName]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[types.NamespacedName]bool, len(s.objects))
	for name := range s.objects {
		all[name] = true
	}
	return all
}

// put has next take the place of what is kept under that name; nil is nothing.
func (s *shelf[T, V]) put(name types.NamespacedName, next *kept[V]) {
	if next != nil && next.service == (types.NamespacedName{}) {
		next = nil
	}
	s.mu.Lock()
	last := s.objects[name]
	if last != nil && (next == nil || next.service != last.service) {
		s.takeOff(last)
	}
	if next != nil {
		s.objects[name] = next
		s.services[next.service] = with(s.services[next.service], next)
	}
	s.mu.Unlock()
	if s.full() {
		s.tell(last, next)
	}
}

// takeOff removes what is kept. The lock is held.
func (s *shelf[T, V]) takeOff(k *kept[V]) {
	delete(s.objects, k.name)
	left := slices.DeleteFunc(slices.Clone(s.services[k.service]), func(other *kept[V]) bool { return other.name == k.name })
	if s.services[k.service] = left; len(left) == 0 {
		delete(s.services, k.service)
	}
}

// with returns a copy of all that has k in its place, instead of what has its
// name.
func with[V any](all []*kept[V], k *kept[V]) []*kept[V] {
	i, found := slices.BinarySearchFunc(all, k, func(a, b *kept[V]) int { return cmp.Compare(a.name.Name, b.name.Name) })
	all = slices.Clone(all)
	if found {
		all[i] = k
		return all
	}
	return slices.Clip(slices.Insert(all, i, k))
}

func (s *shelf[T, V]) tell(last, next *kept[V]) {
	if last != nil && next != nil && last.service == next.service && s.same(last.value, next.value) {
		return
	}
	for _, k := range []*kept[V]{last, next} {
		if k != nil {
			s.changed(k.service)
		}
	}
}

// full says whether the first list is on the shelf.
func (s *shelf[T, V]) full() bool {
	select {
	case <-s.synced:
		return true
	default:
		return false
	}
}

// follow is the source that fills the shelf with what there is in a namespace,
// or in all if that is empty. list is an empty one of the kind.
func (s *shelf[T, V]) follow(api client.WithWatch, namespace string, list func() client.ObjectList) source.TypedSyncingSource[task] {
	options := func(o metav1.ListOptions) *client.ListOptions {
		return &client.ListOptions{Namespace: namespace, Raw: &o}
	}
	var expected T
	return &followed{shelf: s, synced: s.synced, expected: expected, watcher: &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			all := list()
			return all, api.List(ctx, all, options(o))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return api.Watch(ctx, list(), options(o))
		},
	}}
}

// followed is a shelf with what fills it.
type followed struct {
	shelf    cache.ReflectorStore
	synced   chan struct{}
	expected any
	watcher  cache.ListerWatcher
}

// Start fills the shelf until ctx ends.
func (f *followed) Start(ctx context.Context, _ queue) error {
	go cache.NewReflectorWithOptions(f.watcher, f.expected, f.shelf, cache.ReflectorOptions{}).RunWithContext(ctx)
	return nil
}

// WaitForSync returns when the first list is on the shelf.
func (f *followed) WaitForSync(ctx context.Context) error {
	select {
	case <-f.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
