//go:build linux

package lab

import (
	"fmt"
	"sync/atomic"

	"github.com/berth-lb/berth/e2e/cluster"
)

// Enclave is a network namespace of its own, joined to nothing. All that can be
// reached from there are some ports of the machine's loopback, which are ports
// of its own loopback too.
type Enclave struct {
	Station
	lab  *Lab
	ways []*gateway
}

var enclaves atomic.Int64

// Enclave makes one from where these addresses can be reached, each a port of
// loopback, and the API server if the lab has one. It ends with the lab at the
// latest.
func (l *Lab) Enclave(addresses ...string) (*Enclave, error) {
	name := fmt.Sprint("enclave", enclaves.Add(1))
	e := &Enclave{lab: l, Station: Station{Name: name, ns: namespace{l.prefix + name}}}
	if err := e.build(addresses); err != nil {
		e.Close()
		return nil, fmt.Errorf("building %s: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enclaves = append(l.enclaves, e)
	return e, nil
}

func (e *Enclave) build(addresses []string) error {
	if err := (commands{"netns add " + e.ns.name}).run(); err != nil {
		return err
	}
	if err := e.ns.ip(commands{"link set dev lo up"}); err != nil {
		return err
	}
	if e.lab.opts.Cluster != nil {
		server, err := e.lab.apiServer()
		if err != nil {
			return err
		}
		addresses = append([]string{server}, addresses...)
	}
	for _, address := range addresses {
		way, err := newGateway(e.ns, address)
		if err != nil {
			return err
		}
		e.ways = append(e.ways, way)
	}
	return nil
}

// RunProgram starts a program in the enclave. The log is called after name.
func (e *Enclave) RunProgram(name string, program cluster.Program) (*Program, error) {
	p, err := e.lab.runProgram(name, e.ns, program)
	if err != nil {
		return nil, fmt.Errorf("in %s: %w", e.Name, err)
	}
	return p, nil
}

// Close removes the enclave. Nothing runs in there any more.
func (e *Enclave) Close() {
	for _, way := range e.ways {
		way.close()
	}
	_ = removeNamespaces(func(name string) bool { return name == e.ns.name })
}
