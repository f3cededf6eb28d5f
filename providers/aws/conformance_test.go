package aws

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
	"github.com/berth-lb/berth/providers/aws/plan"
	"github.com/berth-lb/berth/providers/conformance"
)

// anotherLife is the UID of the one Service of the suite that is created anew.
const anotherLife = types.UID("uid-of-another-life")

func TestConformance(t *testing.T) {
	const moment = 20 * time.Millisecond
	for name, options := range map[string]fakeaws.Options{
		"prompt": {},
		"slow":   {Latency: time.Millisecond, Delays: fakeaws.Delays{Provisioning: moment, Healthy: moment, Detach: moment, Release: moment}, PageSize: 7},
	} {
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, func(t *testing.T) conformance.Backend { return conformed(t, options) })
		})
	}
}

func conformed(t *testing.T, options fakeaws.Options) conformance.Backend {
	cloud := fakeaws.New(options)
	eks := cloud.AddEKS(fakeaws.EKS{Cluster: clusterName, Nodes: 2})
	var nodes []*corev1.Node
	for i, n := range eks.Nodes {
		nodes = append(nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i)}, Spec: corev1.NodeSpec{ProviderID: n.ProviderID}})
	}
	stop := func() {}
	t.Cleanup(func() { stop() })
	return conformance.Backend{
		Nodes: nodes,
		Start: func(c conformance.Cluster) providers.Provider {
			stop()
			p := New(Options{
				Clients: NewClients(configOf(cloud)),
				Cluster: plan.Cluster{Name: clusterName},
				VPC:     eks.VPC,
				Wake:    c.Wake,
				Service: func(namespace, name string) (*corev1.Service, bool) { return byName(c, namespace, name) },
				Log:     logr.Discard(),
				Poll:    10 * time.Millisecond,
			})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { defer close(done); _ = p.Run(ctx) }()
			stop = func() { cancel(); <-done }
			return p
		},
		Changes: func() uint64 { return changesIn(cloud) },
		Serve: func(svc *corev1.Service) {
			svc.Spec.LoadBalancerClass = new(annotation.LoadBalancerClass)
			if svc.UID == anotherLife {
				// Lives of one name share what AWS holds for it. The suite wants
				// two addresses, so that this one asks for what can't be shared.
				metav1.SetMetaDataAnnotation(&svc.ObjectMeta, annotation.KeyScheme, string(annotation.InternetFacing))
			}
		},
		Refuse: func(svc *corev1.Service) {
			metav1.SetMetaDataAnnotation(&svc.ObjectMeta, annotation.KeyScheme, "public")
		},
	}
}

// byName finds a Service by the UIDs that the suite gives.
func byName(c conformance.Cluster, namespace, name string) (*corev1.Service, bool) {
	for _, uid := range []types.UID{types.UID("uid-of-" + namespace + "-" + name), anotherLife} {
		if svc, ok := c.Service(providers.Key{Namespace: namespace, Name: name, UID: uid}); ok {
			return svc, true
		}
	}
	return nil, false
}

func changesIn(cloud *fakeaws.Cloud) uint64 {
	var n uint64
	for _, c := range cloud.Calls() {
		if c.Changes() {
			n++
		}
	}
	return n
}
