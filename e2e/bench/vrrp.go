package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// vrrp has keepalived hold two addresses of a Service on three nodes: that is
// what an owner by layer 2 is without Berth.
type vrrp struct {
	site *site.Site
	// addresses are one of each family, IPv4 first, and in no pool, so that
	// speakers leave them alone. There are none where keepalived is missing.
	addresses []netip.Addr
	programs  []*lab.Program
}

// startVRRP returns when both addresses have a master.
func startVRRP(ctx context.Context, s *site.Site) (*vrrp, error) {
	v := &vrrp{site: s}
	binary, err := exec.LookPath("keepalived")
	if err != nil {
		progress("  no VRRP beside it: %v; see e2e/prepare.sh bench", err)
		return v, nil
	}
	v.addresses = []netip.Addr{netip.MustParseAddr("172.30.1.1"), netip.MustParseAddr("fd00:30::1:1")}
	svc := lab.NewService(namespace, "vrrp", app)
	class, nodePorts := "example.com/vrrp", false
	svc.Spec.LoadBalancerClass, svc.Spec.AllocateLoadBalancerNodePorts = &class, &nodePorts
	if err := s.API.Create(ctx, svc); err != nil {
		return nil, err
	}
	if err := lab.GiveAddresses(ctx, s.API, svc, v.addresses...); err != nil {
		return nil, err
	}
	for i, priority := range []int{150, 100, 50} {
		if err := v.run(s.Nodes[i], binary, priority); err != nil {
			return nil, err
		}
		// The first one to be there is the master, and stays it.
		if err := v.awaitMaster(ctx, s.Nodes[0]); err != nil {
			v.stop()
			return nil, err
		}
	}
	return v, nil
}

func (v *vrrp) awaitMaster(ctx context.Context, n *lab.Node) error {
	for _, addr := range v.addresses {
		err := v.site.Await(ctx, n.Name+" is the master of "+addr.String(), func(context.Context) (bool, error) {
			master, err := v.master(addr)
			return master == n.Name, err
		})
		if err != nil {
			return fmt.Errorf("%w; keepalived says:\n%s", err, v.programs[0].Tail(10))
		}
	}
	return nil
}

func (v *vrrp) run(n *lab.Node, binary string, priority int) error {
	base := filepath.Join(v.site.Dir(), "keepalived-"+n.Name)
	if err := os.WriteFile(base+".conf", []byte(v.configuration(priority)), 0o600); err != nil {
		return err
	}
	// After a power cut it takes the file of a process that is gone for a daemon
	// that runs.
	p, err := n.Run("sh", "-c", `rm -f "$1".*pid; exec "$0" --dont-fork --log-console --vrrp `+
		`--use-file="$1.conf" --pid="$1.pid" --vrrp_pid="$1.vrrp.pid"`, binary, base)
	if err == nil {
		v.programs = append(v.programs, p)
	}
	return err
}

// configuration has nobody take over from a master that is alive, as speakers
// don't: on return of a node, nothing moves.
func (v *vrrp) configuration(priority int) string {
	var text strings.Builder
	fmt.Fprint(&text, "global_defs {\n\tvrrp_version 3\n}\n")
	for i, addr := range v.addresses {
		fmt.Fprintf(&text, `vrrp_instance %s {
	state BACKUP
	nopreempt
	interface eth0
	virtual_router_id %d
	priority %d
	advert_int 0.1
	virtual_ipaddress {
		%s
	}
}
`, family(addr), i+1, priority, addr)
	}
	return text.String()
}

// master names the node whose interface has the address, or nobody.
func (v *vrrp) master(addr netip.Addr) (string, error) {
	for _, n := range v.site.Nodes[:3] {
		has := false
		err := cluster.InNetns(n.Netns(), func() error {
			all, err := net.InterfaceAddrs()
			has = slices.ContainsFunc(all, func(a net.Addr) bool {
				prefix, err := netip.ParsePrefix(a.String())
				return err == nil && prefix.Addr() == addr
			})
			return err
		})
		if has || err != nil {
			return n.Name, err
		}
	}
	return "", nil
}

// gaps picks those of one family.
func (v *vrrp) gaps(of corev1.IPFamily, all []distribution) distribution {
	for i, addr := range v.addresses {
		if family(addr) == of {
			return all[i]
		}
	}
	return nil
}

// stop lets each keepalived end its own children.
func (v *vrrp) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), site.Patience)
	defer cancel()
	for _, p := range v.programs {
		_ = p.Stop(ctx)
	}
}
