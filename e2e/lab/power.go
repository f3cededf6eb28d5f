//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
)

var errNoPower = errors.New("its power is cut")

// CutPower takes the node from the segment first, and then kills every process
// on it and in its pods, so that nothing can say goodbye. The API server keeps
// what it last heard. It returns when all are gone.
func (l *Lab) CutPower(n *Node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dark {
		return fmt.Errorf("cutting the power of %s: %w", n.Name, errNoPower)
	}
	if n.api != nil {
		n.api.cut()
	}
	if err := l.segment.port(&n.Station, "down"); err != nil {
		return fmt.Errorf("cutting the power of %s: %w", n.Name, err)
	}
	n.dark = true
	n.lost = running(n.programs)
	if err := killAll(n.namespaces()); err != nil {
		return fmt.Errorf("cutting the power of %s: %w", n.Name, err)
	}
	for _, p := range n.all() {
		p.Kill()
	}
	return nil
}

// all are the programs of the node, those of the lab included.
func (n *Node) all() []*Program {
	out := append([]*Program{}, n.programs...)
	if n.proxy != nil {
		out = append(out, n.proxy)
	}
	for _, pod := range n.pods {
		if pod.server != nil {
			out = append(out, pod.server)
		}
	}
	return out
}

// RestorePower starts the node again, with a kernel that knows nothing of
// before, its pods, and the programs that ran when the power was cut. It
// returns when the pods answer and kube-proxy is healthy.
func (l *Lab) RestorePower(ctx context.Context, n *Node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.dark {
		return fmt.Errorf("restoring the power of %s: it has power", n.Name)
	}
	for _, step := range []func(context.Context) error{n.scrap, n.boot, n.restart} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("restoring the power of %s: %w", n.Name, err)
		}
	}
	n.dark, n.lost = false, nil
	if n.proxy == nil {
		return nil
	}
	return n.waitKubeProxy(ctx)
}

// scrap removes the namespaces that the power cut left without processes.
func (n *Node) scrap(context.Context) error {
	if n.api != nil {
		n.api.close()
	}
	mine := map[string]bool{}
	for _, ns := range n.namespaces() {
		mine[ns.name] = true
	}
	// The kernel ends a namespace some time after its name is gone, and its
	// interfaces with it: the new one's port can't wait for that.
	return errors.Join(
		n.lab.segment.disconnect(&n.Station),
		removeNamespaces(func(name string) bool { return mine[name] }),
	)
}

func (n *Node) boot(ctx context.Context) error {
	if err := n.build(); err != nil {
		return err
	}
	if n.api != nil {
		if err := n.openGateway(); err != nil {
			return err
		}
	}
	for _, pod := range n.pods {
		if err := pod.boot(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) restart(context.Context) error {
	var errs error
	if n.proxy != nil {
		errs = n.proxy.Start()
	}
	for _, p := range n.lost {
		errs = errors.Join(errs, p.Start())
	}
	return errs
}

// stop ends what runs on the node.
func (n *Node) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.all() {
		p.Kill()
	}
	for _, r := range n.routings {
		r.remove()
	}
	if n.api != nil {
		n.api.close()
	}
}
