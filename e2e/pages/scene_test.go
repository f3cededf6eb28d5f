//go:build linux

package pages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/kubelet"
	"github.com/berth-lb/berth/e2e/lab"
)

// scene is a cluster, and a reader of a page at its shell.
type scene struct {
	*lab.Lab
	*shell
	t         *testing.T
	kube      *cluster.Cluster
	api       client.Client
	namespace string
	kubelet   *kubelet.Kubelet
}

// newScene has two nodes, a client, and pods for the Service web. The pods of
// namespace run, as far as they are Berth's.
func newScene(t *testing.T, page, namespace string) *scene {
	t.Helper()
	kube := cluster.New(t, cluster.Options{ControllerManager: true, Workloads: true})
	s := &scene{t: t, kube: kube, shell: newShell(t, kube, page), namespace: namespace}
	var err error
	s.api, err = kube.Client()
	s.must(err)
	s.Lab = lab.New(t, lab.Options{Nodes: 2, Cluster: kube})
	for i, n := range s.Nodes {
		_, err := n.StartPod(t.Context(), "default", fmt.Sprint("web-", i), "web")
		s.must(err)
	}
	image, err := kubelet.Built(".race")
	s.must(err)
	s.kubelet, err = kubelet.Start(kubelet.Options{
		Runtime: kubelet.Runtime{Kube: kube, Image: image}, Namespace: namespace, Lab: s.Lab,
	})
	s.must(err)
	t.Cleanup(s.kubelet.Stop)
	return s
}

func (s *scene) must(err error) {
	s.t.Helper()
	check.Must(s.t, err)
}

// eventually is the function of that name with the usual patience.
func (s *scene) eventually(ask func() error) {
	s.t.Helper()
	check.Eventually(s.t, time.Minute, ask)
}

func (s *scene) get(name string) *corev1.Service {
	s.t.Helper()
	svc := &corev1.Service{}
	s.must(s.api.Get(s.t.Context(), client.ObjectKey{Namespace: "default", Name: name}, svc))
	return svc
}

// condition returns once a condition of a Service is True.
func (s *scene) condition(name, kind string) {
	s.t.Helper()
	s.eventually(func() error {
		svc := &corev1.Service{}
		if err := s.api.Get(s.t.Context(), client.ObjectKey{Namespace: "default", Name: name}, svc); err != nil {
			return err
		}
		return check.Condition(svc, kind, metav1.ConditionTrue, "")
	})
}

// specs is what users wrote, by kind and name, as JSON.
func (s *scene) specs() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for kind, version := range map[string]string{
		"IPAddressPool": "metallb.io/v1beta1", "L2Advertisement": "metallb.io/v1beta1", "BGPAdvertisement": "metallb.io/v1beta1",
		"BFDProfile": "metallb.io/v1beta1", "Community": "metallb.io/v1beta1", "BGPPeer": "metallb.io/v1beta2", "Service": "v1",
	} {
		list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": version, "kind": kind + "List"}}
		s.must(s.api.List(s.t.Context(), list))
		for _, o := range list.Items {
			if o.GetNamespace() == "default" || o.GetNamespace() == s.namespace && kind != "Service" {
				text, err := json.Marshal(o.Object["spec"])
				s.must(err)
				all[kind+" "+o.GetName()] = string(text)
			}
		}
	}
	return all
}

// unchanged fails the test for each object whose spec is not as it was.
func (s *scene) unchanged(before map[string]string) {
	s.t.Helper()
	after := s.specs()
	for name, spec := range before {
		if after[name] != spec {
			s.t.Errorf("%s was\n%s\nand is\n%s", name, spec, after[name])
		}
	}
}

// load asks for pages at each address of the Service web until it is stopped.
type load struct {
	pages []*lab.Requests
	at    []string
}

func (s *scene) load() *load {
	l := &load{at: services[0].addresses}
	for _, address := range l.at {
		url := "http://" + netip.AddrPortFrom(netip.MustParseAddr(address), lab.HTTPPort).String()
		l.pages = append(l.pages, s.Clients[0].Request(url, 10*time.Millisecond, 5*time.Second))
	}
	s.t.Cleanup(func() { l.stop(s) })
	return l
}

// stop returns how many pages were asked for and how many were lost.
func (l *load) stop(s *scene) (sent, lost int) {
	for i, p := range l.pages {
		trace := p.Stop()
		sent, lost = sent+trace.Sent(), lost+trace.Lost()
		for _, q := range trace.Questions {
			if q.Err != nil {
				s.t.Logf("asked after %v, failed after %v: %v", q.Sent.Round(time.Millisecond), q.Failed.Round(time.Millisecond), q.Err)
			}
		}
		s.t.Logf("%s: %d pages, %d lost, longest time without one %v", l.at[i], trace.Sent(), trace.Lost(), trace.Gap().Round(time.Millisecond))
	}
	return sent, lost
}

// reached returns once the client gets a page at each of these addresses.
func (s *scene) reached(port uint16, addresses ...string) {
	s.t.Helper()
	for _, address := range addresses {
		s.eventually(func() error {
			ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
			defer cancel()
			status, _, err := s.Clients[0].Get(ctx, "http://"+netip.AddrPortFrom(netip.MustParseAddr(address), port).String())
			if err == nil && status != 200 {
				err = errors.New("the page can't be had")
			}
			return err
		})
	}
}
