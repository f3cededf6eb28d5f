//go:build linux

package l2

import (
	"context"
	"fmt"
	"strings"

	metallb "go.universe.tf/metallb/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/site"
)

// Where no advertisement lets an address be announced, it is silent, and the
// Service says what to do.
func changesAdvertisements(g *ground) {
	all := &metallb.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: "all"}}
	g.must(g.API.Delete(g.ctx, all))
	g.silent(g.web)
	g.condition(g.web, metav1.ConditionFalse, "NotAdvertised", `no L2Advertisement or BGPAdvertisement selects pool "small"`, "create one with spec.ipAddressPools: [small]")

	all = &metallb.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: "all"}}
	all.Spec.Interfaces = []string{"eth9"}
	g.must(g.API.Create(g.ctx, all))
	g.condition(g.web, metav1.ConditionFalse, "NotAdvertised", `"eth9"`, "name interfaces that exist there")
	g.silent(g.web)

	undo := g.advertise(func(s *metallb.L2AdvertisementSpec) { s.ServiceSelectors = labelled("advertised", "yes") })
	defer undo()
	g.condition(g.web, metav1.ConditionFalse, "NotAdvertised", "spec.serviceSelectors")
	g.silent(g.web)
	labels := func(value string) {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"advertised":%s}}}`, value)
		g.must(g.API.Patch(g.ctx, g.web, client.RawPatch("application/merge-patch+json", patch)))
	}
	labels(`"yes"`)
	g.condition(g.web, metav1.ConditionTrue, "")
	g.settled(g.web)
	g.reached(g.web)
	undo()
	labels("null")
	g.settled(g.web)
}

// A mistake in one object is reported by every speaker, and stops nothing else.
func refusesAdvertisement(g *ground) {
	w, l := g.guard(g.web), g.load(g.web)
	bad := &metallb.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: "bad"}}
	bad.Spec.NodeSelectors = []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "rack", Operator: "Near", Values: []string{"b"}},
	}}}
	g.must(g.API.Create(g.ctx, bad))
	for _, n := range g.Nodes {
		g.configuration(n.Name, metallb.ConfigurationResultInvalid, "bad", "nodeSelectors", "Near")
	}
	g.must(g.API.Delete(g.ctx, bad))
	for _, n := range g.Nodes {
		g.configuration(n.Name, metallb.ConfigurationResultValid)
	}
	l.nothingLost()
	w.nothingMoved()
}

// configuration returns when the speaker of a node says so of the configuration.
func (g *ground) configuration(node string, result metallb.ConfigurationResult, texts ...string) {
	g.t.Helper()
	g.until(fmt.Sprintf("%s says that the configuration is %s, with %q", node, result, texts), func(ctx context.Context) (bool, error) {
		state := &metallb.ConfigurationState{}
		if err := g.API.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: "speaker-" + node}, state); err != nil {
			return false, err
		}
		for _, text := range texts {
			if !strings.Contains(state.Status.ErrorSummary, text) {
				return false, fmt.Errorf("it says %q", state.Status.ErrorSummary)
			}
		}
		return state.Status.Result == result, nil
	})
}
