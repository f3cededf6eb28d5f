package aws

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

// Two clusters in one VPC have Services of the same names, and neither touches
// what the other has.
func TestTwoClusters(t *testing.T) {
	t.Parallel()
	second := cluster.New(t, cluster.Options{})
	secondAPI, err := populated(t.Context(), second)
	check.Must(t, err)
	here := newLab(t, "here", atOnce())
	there := labOn(t, second, secondAPI, here.account, here.apps)
	there.cluster = "there"
	// The subnets carry the tag of the first cluster alone.
	subnets := annotated("subnets", strings.Join(here.account.Site.Private, ","))

	here.start()
	there.start()
	for _, name := range []string{"web", "api"} {
		here.create(name)
		there.create(name, subnets)
		one, other := here.served(name), there.served(name)
		if hostname(one) == hostname(other) {
			t.Errorf("both have %s", hostname(one))
		}
	}
	for _, l := range []*lab{here, there} {
		if out := l.dryRun(); out != "" {
			t.Errorf("a dry run in the cluster %s says:\n%s", l.cluster, out)
		}
	}

	there.delete("web")
	there.gone("web")
	here.delete("api")
	here.gone("api")
	check.Quiet() // Nobody takes the other's for a leftover.
	want := []string{here.cluster + " " + here.apps + "/web", there.cluster + " " + there.apps + "/api"}
	if got := here.account.owners(); !slices.Equal(got, want) {
		t.Errorf("the account holds something of %q, want %q", got, want)
	}
	for _, l := range []*lab{here, there} {
		if out := l.dryRun(); out != "" {
			t.Errorf("afterwards a dry run in the cluster %s says:\n%s", l.cluster, out)
		}
	}
}

var owner = regexp.MustCompile(`tag elbv2.k8s.aws/cluster=(.*)\n(?: *tag .*\n)*? *tag service.k8s.aws/stack=(.*)\n`)

// owners are the clusters and Services that something belongs to, sorted.
func (a *Account) owners() []string {
	var all []string
	for _, found := range owner.FindAllStringSubmatch(a.Dump(), -1) {
		all = append(all, found[1]+" "+found[2])
	}
	slices.Sort(all)
	return slices.Compact(all)
}
