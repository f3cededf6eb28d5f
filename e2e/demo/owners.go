//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// window is how long the client waits for answers to one ARP request.
const window = 100 * time.Millisecond

// answering are the stations that answer ARP for the address, in the owner's
// name or not. That an answer names anybody but the owner is an error.
func (f *failover) answering() ([]string, error) {
	answers, err := f.client.WhoHas(f.address, window)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, a := range answers {
		names = append(names, f.lan.StationOf(a.From))
		if named := f.lan.StationOf(a.MAC); named != f.owner {
			return nil, fmt.Errorf("an answer says that %s has %s, but %s is on record", named, f.address, f.owner)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// awaitARP asks until those who answer are as they should be, or one of them
// names the wrong node.
func (f *failover) awaitARP(ctx context.Context, what string, right func(names []string) bool) (names []string, wrong error) {
	err := f.lan.Await(ctx, what, func(context.Context) (bool, error) {
		names, wrong = f.answering()
		return wrong != nil || right(names), nil
	})
	return names, errors.Join(err, wrong)
}

// showARP shows who has the address, once nobody but the owner says so: those
// who stand in for it stop when they hear from it again.
func (f *failover) showARP(ctx context.Context) error {
	_, err := f.awaitARP(ctx, "only "+f.owner+" answers for "+f.address.String(), func(names []string) bool {
		return slices.Equal(names, []string{f.owner})
	})
	if err != nil {
		return err
	}
	fmt.Printf("\n%s$ ARP who has %s?\n%s is at %s, which is %s\n",
		f.client.Name, f.address, f.address, f.lan.Node(f.owner).MAC, f.owner)
	return nil
}

// showStandIns shows who answers for the owner, whose speaker is gone.
func (f *failover) showStandIns(ctx context.Context, m *meter) error {
	var names []string
	err := m.during(func() (err error) {
		names, err = f.awaitARP(ctx, "another speaker answers for "+f.owner, func(names []string) bool {
			return len(names) > 0 && !slices.Contains(names, f.owner)
		})
		return err
	})
	if err != nil {
		return err
	}
	return m.mark(strings.Join(names, " and ") + " answering ARP with the MAC of " + f.owner)()
}

// showOwners shows the records once both what they say and what they show is
// up to date.
func (f *failover) showOwners(ctx context.Context) error {
	err := f.lan.Await(ctx, "the records show who announces", func(ctx context.Context) (bool, error) {
		var list metallb.ServiceL2StatusList
		err := f.api.List(ctx, &list, client.InNamespace(site.Namespace))
		for i := range list.Items {
			if r, ok := announce.RecordOf(&list.Items[i]); !ok || r.Node != list.Items[i].Status.Node {
				return false, err
			}
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	return f.showKubectl(ctx, "get", "servicel2statuses", "-n", site.Namespace, "--sort-by=.status.serviceName")
}

// moved checks that all addresses of the dead node have left it, and no others
// have moved, and takes note of the new owners.
func (f *failover) moved(ctx context.Context, dead string) error {
	var owners map[netip.Addr]string
	err := f.lan.Await(ctx, "others announce what "+dead+" did", func(ctx context.Context) (ok bool, err error) {
		owners, err = f.lan.Owners(ctx)
		for address, owner := range f.owners {
			if now := owners[address]; now == "" || now == dead {
				return false, err
			} else if owner != dead && now != owner {
				return false, fmt.Errorf("%s went from %s, which is alive, to %s", address, owner, now)
			}
		}
		return err == nil, err
	})
	f.owners, f.owner = owners, owners[f.address]
	return err
}

// unmoved checks that no request was lost and no address has moved.
func (f *failover) unmoved(ctx context.Context, trace lab.Trace) error {
	if lost := trace.Lost(); lost > 0 {
		return fmt.Errorf("%d of %d requests were lost", lost, trace.Sent())
	}
	owners, err := f.lan.Owners(ctx)
	if err == nil && !maps.Equal(owners, f.owners) {
		err = fmt.Errorf("addresses have moved: they were with %v and are with %v", f.owners, owners)
	}
	return err
}
