package suite

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

// A pool that breaks a rule is refused alone, is named together with its
// field, keeps what Services have of it, and works once it is put right.
func TestBrokenPools(t *testing.T) {
	t.Parallel()
	l := newLab(t, "broken-pools")
	l.neverTwice()
	l.pool("a-fine", ranges("192.0.2.0/28"), byName)
	l.pool("b-fine", ranges("198.51.100.0/28"), byName)
	c := l.start()
	l.configurationIs("Valid")
	state := check.Object("ConfigurationState", l.conf, "controller")
	l.must(l.api.Get(t.Context(), client.ObjectKeyFromObject(state), state))
	if kind := state.GetLabels()["metallb.io/component-type"]; kind != "controller" {
		t.Errorf("the ConfigurationState is labelled as that of a %q", kind)
	}
	l.create("holds", fromPool("b-fine"), asking("198.51.100.3"))
	l.has("holds", "198.51.100.3")

	// One overlaps with an older one, and one is the wrong way round.
	anotherSecond()
	l.pool("overlapping", ranges("203.0.113.0/28", "192.0.2.8/29"), byName)
	l.pool("reversed", ranges("203.0.113.100-203.0.113.90"), byName)
	l.configurationIs("Invalid",
		"IPAddressPool overlapping: spec.addresses[1]", "a-fine", "192.0.2.8-192.0.2.15",
		"IPAddressPool reversed: spec.addresses[0]", "reversed: 203.0.113.90 comes before 203.0.113.100")
	l.create("of-overlapping", fromPool("overlapping"))
	l.refused("of-overlapping", "NoPool", "overlapping", "not valid")
	l.create("of-reversed", fromPool("reversed"))
	l.refused("of-reversed", "NoPool", "reversed", "not valid")
	l.create("of-fine", fromPool("a-fine"))
	l.has("of-fine", "192.0.2.0")

	// A mistake in a pool that is in use takes nothing away.
	l.editPool("b-fine", ranges("198.51.100.15-198.51.100.0"))
	l.configurationIs("Invalid", "IPAddressPool b-fine: spec.addresses[0]", "IPAddressPool overlapping", "IPAddressPool reversed")
	l.create("of-broken", fromPool("b-fine"))
	l.refused("of-broken", "NoPool", "b-fine", "not valid")
	before := l.has("holds", "198.51.100.3")
	c.stop(t)
	l.create("of-fine-later", fromPool("a-fine"))
	l.start()
	l.has("of-fine-later", "192.0.2.1")
	if after := l.has("holds", "198.51.100.3"); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("a start beside a broken pool wrote to a Service that holds an address of it:\n%s", check.Describe(after))
	}

	// Put right, all work without a restart.
	l.editPool("b-fine", ranges("198.51.100.0-198.51.100.15"))
	l.has("of-broken", "198.51.100.0")
	l.configurationIs("Invalid", "IPAddressPool overlapping", "IPAddressPool reversed")
	l.editPool("overlapping", ranges("203.0.113.0/28"))
	l.has("of-overlapping", "203.0.113.0")
	l.editPool("reversed", ranges("203.0.113.90-203.0.113.100"))
	l.has("of-reversed", "203.0.113.90")
	l.configurationIs("Valid")
	l.has("holds", "198.51.100.3")
}

// The pool that another one overlaps with goes away: the other takes over.
func TestTheOlderOfTwoOverlappingPoolsGoes(t *testing.T) {
	t.Parallel()
	l := newLab(t, "older-pool")
	l.neverTwice()
	l.pool("older", ranges("192.0.2.0/28"))
	anotherSecond()
	l.pool("newer", ranges("192.0.2.0/27"))
	l.start()
	l.configurationIs("Invalid", "IPAddressPool newer: spec.addresses[0]", "older")
	l.create("web")
	l.has("web", "192.0.2.0")
	l.deletePool("older")
	l.configurationIs("Valid")
	svc := l.until("web", func(svc *corev1.Service) error { return check.Is("the pool", svc.Annotations[fromAnnotation], "newer") })
	if got := check.Addresses(svc); !slices.Equal(got, []string{"192.0.2.0"}) {
		t.Errorf("the address changed to %v although the other pool has it too", got)
	}
}

// A pool is edited so that what Services hold is no longer in it: each gets
// another address or waits, and at no time do two show the same.
func TestPoolMovesAway(t *testing.T) {
	t.Parallel()
	const services = 12
	l := newLab(t, "pool-moves")
	l.neverTwice()
	l.pool("blue", ranges("192.0.2.0-192.0.2.11"))
	l.start()
	name := func(i int) string { return fmt.Sprintf("web-%02d", i) }
	for i := range services {
		l.create(name(i))
	}
	l.allHave(services, "192.0.2.0", "192.0.2.11")

	t.Run("half of it", func(t *testing.T) {
		l := l.in(t)
		kept := map[string]string{}
		for i := range services {
			if address := l.address(name(i)); between(address, "192.0.2.6", "192.0.2.11") {
				kept[name(i)] = address
			}
		}
		l.editPool("blue", ranges("192.0.2.6-192.0.2.17"))
		l.allHave(services, "192.0.2.6", "192.0.2.17")
		for name, address := range kept {
			l.has(name, address)
		}
	})
	t.Run("all of it, to one that is too small", func(t *testing.T) {
		l := l.in(t)
		l.editPool("blue", ranges("198.51.100.0/29"))
		served, waiting := 0, 0
		l.eventually(func() error {
			served, waiting = 0, 0
			for i := range services {
				svc, err := l.read(name(i))
				if err != nil {
					return err
				}
				got := check.Addresses(svc)
				switch {
				case len(got) == 1 && strings.HasPrefix(got[0], "198.51.100."):
					served++
				case len(got) == 0 && check.Condition(svc, provisioned, "False", "PoolExhausted", "blue") == nil &&
					check.Condition(svc, serving, "False", "NotProvisioned") == nil && svc.Annotations[fromAnnotation] == "":
					waiting++
				}
			}
			if served != 8 || waiting != 4 {
				return fmt.Errorf("%d Services are served and %d wait, want 8 and 4", served, waiting)
			}
			return nil
		})
		l.counts("blue", usage{assigned4: 8})
	})
	t.Run("and back", func(t *testing.T) {
		l := l.in(t)
		l.editPool("blue", ranges("192.0.2.0-192.0.2.11"))
		l.allHave(services, "192.0.2.0", "192.0.2.11")
		l.counts("blue", usage{assigned4: services})
	})
	t.Run("to another pool", func(t *testing.T) {
		l := l.in(t)
		l.pool("green", ranges("203.0.113.0/28"))
		l.deletePool("blue")
		l.allHave(services, "203.0.113.0", "203.0.113.15")
		l.eventually(func() error {
			return check.Is("an event ClearAssignment tells of the loss", l.events(name(0), "ClearAssignment") > 0, true)
		})
	})
}

// between says whether an address is in a range.
func between(address, first, last string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && a.Compare(netip.MustParseAddr(first)) >= 0 && a.Compare(netip.MustParseAddr(last)) <= 0
}

// allHave returns once all Services of the lab have an address of their own
// between first and last.
func (l *lab) allHave(services int, first, last string) {
	l.t.Helper()
	l.eventually(func() error {
		var list corev1.ServiceList
		l.must(l.api.List(l.t.Context(), &list, client.InNamespace(l.apps)))
		holders := map[string]string{}
		for i := range list.Items {
			svc := &list.Items[i]
			if err := check.Condition(svc, provisioned, "True", "Provisioned"); err != nil {
				return fmt.Errorf("Service %s: %w", svc.Name, err)
			}
			for _, address := range check.Addresses(svc) {
				if !between(address, first, last) {
					return fmt.Errorf("Service %s has %s, want one from %s to %s", svc.Name, address, first, last)
				}
				if other := holders[address]; other != "" {
					return fmt.Errorf("the Services %s and %s both have %s", svc.Name, other, address)
				}
				holders[address] = svc.Name
			}
		}
		return check.Is("the number of addresses", len(holders), services)
	})
}

// samples are the objects that come with the definitions of the kinds.
func samples(t *testing.T, kind string) map[string]*sample {
	t.Helper()
	dir := os.DirFS(filepath.Join(root, "charts", "crdgen", "testdata", kind))
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("there are no samples of what is %s: %v", kind, err)
	}
	all := map[string]*sample{}
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		check.Must(t, err)
		s := &sample{}
		if err := yaml.Unmarshal(text, &s.object); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		line, _ := bufio.NewReader(bytes.NewReader(text)).ReadString('\n')
		s.want, _ = strings.CutPrefix(strings.TrimSpace(line), "# want: ")
		all[strings.TrimSuffix(name, ".yaml")] = s
	}
	return all
}

type sample struct {
	object map[string]any
	want   string
}

func (s *sample) in(namespace string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: s.object}
	o.SetNamespace(namespace)
	return o
}

// Nonsense is refused where it is applied, with words that help.
func TestSchema(t *testing.T) {
	t.Parallel()
	l := newLab(t, "schema")
	for name, sample := range samples(t, "valid") {
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			l.must(l.api.Create(t.Context(), sample.in(l.conf), client.DryRunAll))
		})
	}
	for name, sample := range samples(t, "invalid") {
		t.Run(name, func(t *testing.T) {
			err := l.api.Create(t.Context(), sample.in(l.conf), client.DryRunAll)
			if err == nil || !strings.Contains(err.Error(), sample.want) {
				t.Errorf("the answer is %v\nwant %s", err, sample.want)
			}
		})
	}
}

// What the definitions let through as valid works, but for what they can't
// see.
func TestValidPoolsWork(t *testing.T) {
	t.Parallel()
	l := newLab(t, "valid-pools")
	l.start()
	l.configurationIs("Valid")
	for name, sample := range samples(t, "valid") {
		pool := sample.in(l.conf)
		if pool.GetKind() != "IPAddressPool" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			l.must(l.api.Create(t.Context(), pool))
			switch pool.GetName() {
			case "valid-overlap", "valid-reversed":
				l.configurationIs("Invalid", "IPAddressPool "+pool.GetName()+": spec.addresses")
				l.must(l.api.Delete(t.Context(), pool))
				l.configurationIs("Valid")
				return
			}
			l.eventually(func() error {
				if err := l.api.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil {
					return err
				}
				four, _, _ := unstructured.NestedInt64(pool.Object, "status", "availableIPv4")
				six, _, _ := unstructured.NestedInt64(pool.Object, "status", "availableIPv6")
				if four+six == 0 {
					return errors.New("the pool's status shows no address to give: " + fmt.Sprint(l.configuration("Valid")))
				}
				return nil
			})
			l.configurationIs("Valid")
			l.must(l.api.Delete(t.Context(), pool))
		})
	}
}

// With MetalLB's own definitions, which take nearly anything, the controller
// names the nonsense.
func TestSchemaOfMetalLB(t *testing.T) {
	t.Parallel()
	on, err := cluster.Start(t.Context(), cluster.Options{})
	check.Must(t, err)
	t.Cleanup(on.Stop)
	check.Must(t, on.Install(t.Context(), lenientDefinitions(t)))
	api, err := on.Client()
	check.Must(t, err)
	l := labOn(t, on, api, "lenient")
	l.pool("fine", ranges("198.51.100.0/24"))
	l.start()
	l.configurationIs("Valid")
	nonsense := samples(t, "invalid")
	// These only have a blank too many, and the controller sees through it.
	delete(nonsense, "ipaddresspool-address-too-long")
	delete(nonsense, "ipaddresspool-cidr-blank")
	refused := 0
	for name, sample := range nonsense {
		pool := sample.in(l.conf)
		if pool.GetKind() != "IPAddressPool" {
			continue // What is wrong with the others is for speakers to say.
		}
		if err := l.api.Create(t.Context(), pool); err != nil {
			continue // MetalLB's definitions refuse that one too.
		}
		refused++
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			l.configurationIs("Invalid", "IPAddressPool "+pool.GetName()+": spec.addresses")
		})
		l.must(l.api.Delete(t.Context(), pool))
		l.configurationIs("Valid")
	}
	if refused < 20 {
		t.Errorf("only %d samples got past the definitions, which should be lenient here", refused)
	}
	l.create("web")
	l.has("web", "198.51.100.0")
}

// lenientDefinitions is a folder with the definitions as MetalLB has them:
// without what ours add.
func lenientDefinitions(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(root, "charts", "berth", "crds", "*.yaml"))
	check.Must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check.Must(t, err)
		definition := &unstructured.Unstructured{}
		check.Must(t, yaml.Unmarshal(text, &definition.Object))
		loosen(definition.Object)
		text, err = definition.MarshalJSON()
		check.Must(t, err)
		check.Must(t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600))
	}
	return dir
}

func loosen(node any) {
	switch node := node.(type) {
	case map[string]any:
		for _, rule := range []string{"x-kubernetes-validations", "minItems", "maxItems", "maxLength"} {
			delete(node, rule)
		}
		for _, child := range node {
			loosen(child)
		}
	case []any:
		for _, child := range node {
			loosen(child)
		}
	}
}
