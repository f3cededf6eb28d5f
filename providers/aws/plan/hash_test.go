package plan

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// The hash of what is applied outlives a process: a release that changes this
// one has every Service described at AWS again.
func TestHashIsStable(t *testing.T) {
	s := Stack{
		LoadBalancers: []LoadBalancer{{
			Name: "front", Scheme: annotation.Internal, Tags: map[string]string{"b": "2", "a": "1"},
			Subnets:   []SubnetMapping{{SubnetID: "subnet-1", PrivateIPv4: address("10.0.0.1")}},
			Listeners: []Listener{{Protocol: "TCP", Port: 80, TargetGroup: "shop/web:80"}},
		}},
		TargetGroups: []TargetGroup{{Key: "shop/web:80", Targets: []Target{{ID: "i-0a", Port: 30080}}, HealthCheck: connects()}},
		Groups:       []SecurityGroup{{Ingress: []Rule{{Protocol: "tcp", From: 80, To: 80, CIDR: prefix("10.0.0.0/8")}}}},
	}
	if got, want := Hash(s), "v1:615e1c38513b5bc8114875c2d0e7406dd980ee597fe2447edc3c1099b1640d9d"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHashIsOfTheDecision(t *testing.T) {
	one, _, _ := Desired(world())
	two, _, _ := Desired(world(func(r *Request) { slices.Reverse(r.Nodes); r.Service.UID = "uid-2" }))
	if Hash(one) != Hash(two) {
		t.Error("the order of nodes, or the UID, counts")
	}
}

// Every value counts: each field in turn gets another one.
func TestHashCountsEverything(t *testing.T) {
	full := func() Stack {
		s, _, _ := Desired(world(dual, tlsOn(80), settings(func(s *annotation.Settings) {
			s.Subnets, s.IPv6 = []string{"private-1"}, []netip.Addr{address("2001:db8:0:1::9")}
		})))
		return s
	}
	base := full()
	seen := map[string]string{Hash(base): "unchanged"}
	var walk func(path string, find func(*Stack) reflect.Value)
	walk = func(path string, find func(*Stack) reflect.Value) {
		s := full()
		v := find(&s)
		switch v.Kind() {
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[netip.Addr]() || v.Type() == reflect.TypeFor[netip.Prefix]() {
				break
			}
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, func(s *Stack) reflect.Value { return find(s).Field(i) })
			}
			return
		case reflect.Slice:
			for i := range v.Len() {
				walk(path+"[]", func(s *Stack) reflect.Value { return find(s).Index(i) })
			}
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		case reflect.Map:
			v.Set(reflect.ValueOf(map[string]string{"a": "b"}))
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Bool:
			v.SetBool(!v.Bool())
		default:
			v.SetInt(v.Int() + 1)
		}
		switch v.Interface().(type) {
		case netip.Addr:
			v.Set(reflect.ValueOf(address("192.0.2.200")))
		case netip.Prefix:
			v.Set(reflect.ValueOf(prefix("192.0.2.128/25")))
		}
		hash := Hash(s)
		if other, taken := seen[hash]; taken {
			t.Errorf("%s has the hash of %s", path, other)
		}
		seen[hash] = path
	}
	walk("", func(s *Stack) reflect.Value { return reflect.ValueOf(s).Elem() })
	if len(seen) < 80 {
		t.Errorf("only %d values", len(seen))
	}
}

func TestHashTellsValuesApart(t *testing.T) {
	a := Stack{Groups: []SecurityGroup{{Name: "x\"\n.Groups[0].Description=\"y"}}}
	b := Stack{Groups: []SecurityGroup{{Name: "x", Description: "y"}}}
	if Hash(a) == Hash(b) {
		t.Error("a value looks like a field")
	}
}
