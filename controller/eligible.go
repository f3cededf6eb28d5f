package controller

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// eligible remembers the nodes that load balancers may send to until a node
// changes: all Services are given the same.
type eligible struct {
	mu    sync.Mutex
	known bool
	nodes []*corev1.Node
	// changes counts what was forgotten, so that a list which is older than that
	// is not remembered.
	changes int
}

func (e *eligible) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known, e.nodes = false, nil
	e.changes++
}

// get returns what is remembered, or what list returns. It is shared.
func (e *eligible) get(list func() ([]*corev1.Node, error)) ([]*corev1.Node, error) {
	nodes, known, changes := e.recall()
	if known {
		return nodes, nil
	}
	nodes, err := list()
	if err != nil {
		return nil, err
	}
	nodes = slices.Clip(nodes)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.changes == changes {
		e.known, e.nodes = true, nodes
	}
	return nodes, nil
}

func (e *eligible) recall() (nodes []*corev1.Node, known bool, changes int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.nodes, e.known, e.changes
}
