package speaker

import (
	"slices"
	"strings"
	"testing"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/announce"
)

// bgpStatusesOf are those that there are, as "service node peers".
func (w *world) bgpStatusesOf() []string {
	w.Helper()
	var all metallb.ServiceBGPStatusList
	if err := w.api.List(w.Context(), &all); err != nil {
		w.Fatal(err)
	}
	var texts []string
	for _, o := range all.Items {
		if o.Labels[announce.LabelServiceName] != o.Status.ServiceName || o.Labels[announce.LabelNode] != o.Status.Node {
			w.Errorf("labels %v of %+v", o.Labels, o.Status)
		}
		texts = append(texts, o.Status.ServiceNamespace+"/"+o.Status.ServiceName+" "+o.Status.Node+" "+strings.Join(o.Status.Peers, "+"))
	}
	slices.Sort(texts)
	return texts
}

func TestServiceBGPStatusesWhereTheyAreAskedFor(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(routed([]string{"a", "b"}, tor), web, endpoints("web", "a"))...)
		w.serviceBGPStatus = true
		a := w.start("a")
		w.start("b")
		time.Sleep(time.Second)
		equalStrings(w, "statuses", w.bgpStatusesOf(), "shop/web a tor", "shop/web b tor")
		w.wrote("")
		w.put(router("spine", "10.0.0.2"))
		time.Sleep(time.Second)
		equalStrings(w, "statuses", w.bgpStatusesOf(), "shop/web a spine+tor", "shop/web b spine+tor")
		a.stop()
		again := web.DeepCopy()
		again.UID = "uid-again"
		w.remove(web)
		w.put(again)
		time.Sleep(time.Second)
		equalStrings(w, "statuses while a is away", w.bgpStatusesOf(), "shop/web a spine+tor", "shop/web b spine+tor")
		w.start("a")
		time.Sleep(time.Second)
		equalStrings(w, "statuses", w.bgpStatusesOf(), "shop/web a spine+tor", "shop/web b spine+tor")
		w.remove(again)
		time.Sleep(time.Second)
		equalStrings(w, "statuses", w.bgpStatusesOf())
	})
}

func TestServiceBGPStatusesGoWithTheFlag(t *testing.T) {
	in(t, func(t *testing.T) {
		foreign := &metallb.ServiceBGPStatus{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "bgp-abcde",
			Labels: map[string]string{announce.LabelNode: "a"}}}
		w := newWorld(t, append(routed([]string{"a"}, tor), web, endpoints("web", "a"), foreign)...)
		w.serviceBGPStatus = true
		w.start("a").stop()
		if n := len(w.wrote("ServiceBGPStatus")); n != 2 {
			t.Errorf("%d writes", n)
		}
		w.serviceBGPStatus = false
		w.start("a")
		time.Sleep(time.Second)
		name := bgpStatusName(web.UID, "a")
		equalStrings(w, "writes", w.wrote("ServiceBGPStatus"), "delete ServiceBGPStatus "+name)
		w.put(endpoints("web", "a"))
		equalStrings(w, "writes", w.wrote("ServiceBGPStatus"))
	})
}
