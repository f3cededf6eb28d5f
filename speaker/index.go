package speaker

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// index knows the names of the objects that belong to each Service. It takes a
// tenth of the memory of an index of the cache, which keeps a set for each
// value, twice.
type index struct {
	mu    sync.Mutex
	names map[types.NamespacedName][]string
}

func newIndex() *index { return &index{names: map[types.NamespacedName][]string{}} }

func (i *index) add(service types.NamespacedName, name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if names := i.names[service]; !slices.Contains(names, name) {
		names = append(slices.Clone(names), name)
		slices.Sort(names)
		i.names[service] = names
	}
}

func (i *index) remove(service types.NamespacedName, name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	names := slices.DeleteFunc(slices.Clone(i.names[service]), func(n string) bool { return n == name })
	if len(names) == 0 {
		delete(i.names, service)
		return
	}
	i.names[service] = names
}

// of returns the names, sorted. They are not changed later.
func (i *index) of(service types.NamespacedName) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.names[service]
}
