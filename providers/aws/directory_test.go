package aws

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// All Services have the same nodes: they are asked for once, whoever asks.
func TestDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 2*ec2Batch + 50
		cloud := fakeaws.New(fakeaws.Options{Latency: time.Second})
		eks := cloud.AddEKS(fakeaws.EKS{Cluster: clusterName, Nodes: nodes})
		instances := []string{"i-0123"} // which is gone
		for _, n := range eks.Nodes {
			instances = append(instances, n.Instance)
		}
		directory := newTopology(NewClients(configOf(cloud)).Network, eks.VPC).instances
		ask := func() {
			t.Helper()
			got, err := directory.get(t.Context(), instances)
			if err != nil || len(got) != nodes || !slices.Equal(got[instances[1]], []string{eks.NodeGroup}) {
				t.Errorf("%d instances, %v", len(got), err)
			}
		}
		calls := func(why string, want int) {
			t.Helper()
			if got := cloud.Counts()["DescribeInstances"]; got != want {
				t.Errorf("%s: %d calls, want %d", why, got, want)
			}
			cloud.Reset()
		}
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 50 * time.Millisecond)
				ask()
			})
		}
		wg.Wait()
		calls("those who ask while others do share calls", 3)
		ask()
		calls("what is known is not asked for, nor what is known to be gone", 0)
		time.Sleep(topologyAge)
		ask()
		calls("what was gone may have been too new", 1)
		for _, renewal := range []struct {
			why  string
			want int
		}{{"all are looked at again", 3}, {"but not for nobody", 0}} {
			if err := directory.renew(t.Context()); err != nil {
				t.Error(err)
			}
			calls(renewal.why, renewal.want)
		}
	})
}
