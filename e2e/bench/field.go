package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// app is what all pods run.
const app = "web"

// withSite runs do on a segment of its own with Berth at work.
func withSite(ctx context.Context, opts site.Options, do func(*site.Site) error) error {
	s, err := site.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer s.Stop()
	return do(s)
}

// withFront runs do where three nodes may announce, and a fourth one has the
// pods: none of them ends with an owner. Of the three, node1 comes before node2
// for every address, so that all have the same owner.
func withFront(ctx context.Context, do func(*site.Site) error) error {
	return withSite(ctx, site.Options{Nodes: 4}, func(s *site.Site) error {
		if err := exclude(ctx, s, s.Nodes[3], true); err != nil {
			return err
		}
		if err := prefer(ctx, s, "node1", "node2"); err != nil {
			return err
		}
		for i := range 2 {
			if _, err := s.Nodes[3].StartPod(ctx, namespace, fmt.Sprint(app, i+1), app); err != nil {
				return err
			}
		}
		return do(s)
	})
}

// exclude keeps load balancers off a node, or lets them back.
func exclude(ctx context.Context, s *site.Site, n *lab.Node, excluded bool) error {
	return change(ctx, s, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}, func(o *corev1.Node) {
		if excluded {
			metav1.SetMetaDataLabel(&o.ObjectMeta, corev1.LabelNodeExcludeBalancers, "")
		} else {
			delete(o.Labels, corev1.LabelNodeExcludeBalancers)
		}
	})
}

// prefer has addresses be announced by these nodes, the first before the
// second, and both before all others.
func prefer(ctx context.Context, s *site.Site, nodes ...string) error {
	all := &metallb.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: "all"}}
	return change(ctx, s, all, func(o *metallb.L2Advertisement) {
		o.Spec.PreferredNodeSelectors = nil
		for i, name := range nodes {
			o.Spec.PreferredNodeSelectors = append(o.Spec.PreferredNodeSelectors, metallb.PreferredNodeSelector{
				Weight:     int32(len(nodes) - i),
				Preference: metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelHostname: name}},
			})
		}
	})
}

// change reads an object, changes it, and writes what is new.
func change[T client.Object](ctx context.Context, s *site.Site, o T, do func(T)) error {
	if err := s.API.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return err
	}
	before := o.DeepCopyObject().(client.Object)
	do(o)
	return s.API.Patch(ctx, o, client.MergeFrom(before))
}

// ownerOf is the one node that announces all the addresses.
func ownerOf(ctx context.Context, s *site.Site, addrs []netip.Addr) (*lab.Node, error) {
	owners, err := s.Owners(ctx)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if owner := owners[addr]; owner == "" || owner != owners[addrs[0]] {
			return nil, fmt.Errorf("%s is announced by %q, %s by %q", addrs[0], owners[addrs[0]], addr, owner)
		}
	}
	return s.Node(owners[addrs[0]]), nil
}

// awaitOwner returns the one node that announces all the addresses, once that
// is not the node other, which may be nil.
func awaitOwner(ctx context.Context, s *site.Site, addrs []netip.Addr, other *lab.Node) (owner *lab.Node, err error) {
	err = s.Await(ctx, "one node announces all", func(ctx context.Context) (bool, error) {
		owner, err = ownerOf(ctx, s, addrs)
		return err == nil && owner != other, err
	})
	return owner, err
}

// ready returns when the speakers of the nodes say that they announce.
func ready(ctx context.Context, s *site.Site, nodes ...*lab.Node) error {
	for _, n := range nodes {
		err := s.Await(ctx, "the speaker of "+n.Name+" is ready", func(ctx context.Context) (bool, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			status, _, err := n.Get(ctx, "http://127.0.0.1:7474/readyz")
			return status == http.StatusOK, err
		})
		if err != nil {
			return errors.Join(err, errors.New(s.Speaker(n.Name).Tail(5)))
		}
	}
	return nil
}

// echoes are where the pods behind addresses answer datagrams and lines.
func echoes(addrs []netip.Addr) []netip.AddrPort {
	var all []netip.AddrPort
	for _, addr := range addrs {
		all = append(all, netip.AddrPortFrom(addr, lab.EchoPort))
	}
	return all
}

// pageOf is what a client asks for; an address of IPv6 is in brackets there.
func pageOf(addr netip.Addr) string {
	return fmt.Sprintf("http://%s/", netip.AddrPortFrom(addr, lab.HTTPPort))
}

// inARow is how many pages are had one after the other before all nodes that a
// router may choose are taken to forward.
const inARow = 32

// awaitPages returns when a client gets a page from each address, whichever node
// it comes to: kube-proxy learns of a new Service when speakers do.
func awaitPages(ctx context.Context, s *site.Site, from *lab.Client, addrs []netip.Addr) error {
	for _, addr := range addrs {
		got := 0
		err := s.Await(ctx, addr.String()+" serves pages", func(ctx context.Context) (bool, error) {
			for ; got < inARow; got++ {
				if err := getPage(ctx, from, addr); err != nil {
					got = 0
					return false, err
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func getPage(ctx context.Context, from *lab.Client, addr netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	status, _, err := from.Get(ctx, pageOf(addr))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	return err
}
