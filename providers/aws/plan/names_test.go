package plan

import (
	"regexp"
	"testing"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

func TestNames(t *testing.T) {
	valid := regexp.MustCompile(`^k8s(-[0-9a-zA-Z]{1,8}){2}-[0-9a-f]{10}$`)
	seen := map[string]string{}
	for _, tc := range []struct {
		reason string
		same   bool // as the plain one
		change func(*Request)
	}{
		{"plain", false, func(*Request) {}},
		{"the UID does not count", true, func(r *Request) { r.Service.UID = "uid-2" }},
		{"nor do nodes, tags and attributes", true, func(r *Request) {
			r.Nodes, r.Cluster.Tags, r.Settings.Attributes = nil, nil, map[string]string{"a": "b"}
		}},
		{"nor do ports", true, func(r *Request) { r.Service.Spec.Ports[0].NodePort = 31111 }},
		{"another cluster", false, func(r *Request) { r.Cluster.Name = "test" }},
		{"another VPC", false, func(r *Request) { r.Cloud.VPC.ID = "vpc-2" }},
		{"another namespace", false, func(r *Request) { r.Service.Namespace = "a-long-namespace" }},
		{"a namespace that ends like another's name begins", false, func(r *Request) { r.Service.Namespace, r.Service.Name = "shopw", "eb" }},
		{"another scheme", false, facing},
		{"no security groups", false, noGroups},
	} {
		stack, _, err := Desired(world(tc.change))
		if err != nil {
			t.Fatal(tc.reason, err)
		}
		name := stack.LoadBalancers[0].Name
		if !valid.MatchString(name) || len(name) > 32 {
			t.Errorf("%s: %q is no name", tc.reason, name)
		}
		if other, taken := seen[name]; taken != tc.same {
			t.Errorf("%s: %q, and so is %q", tc.reason, name, other)
		}
		seen[name] = tc.reason
	}
}

// A target group whose life differs can stand beside the other, since it
// replaces it.
func TestTargetGroupNames(t *testing.T) {
	seen := map[string]string{}
	for reason, change := range map[string]func(*Request){
		"nodes":              func(*Request) {},
		"pods":               ips,
		"UDP":                func(r *Request) { r.Service.Spec.Ports[0].Protocol = "UDP" },
		"TLS":                func(r *Request) { tlsOn(80)(r); r.Settings.BackendTLS = true },
		"another port":       func(r *Request) { r.Service.Spec.Ports[0].Port = 81 },
		"IPv6":               func(r *Request) { dual(r); r.Service.Spec.IPFamilies[0] = "IPv6" },
		"another scheme":     facing,
		"no security groups": noGroups,
	} {
		stack, _, err := Desired(world(change))
		if err != nil {
			t.Fatal(reason, err)
		}
		name := stack.TargetGroups[0].Name
		if other, taken := seen[name]; taken {
			t.Errorf("%s has the name of %s, %s", reason, other, name)
		}
		seen[name] = reason
	}
	stack, _, _ := Desired(world(settings(func(s *annotation.Settings) { s.Name = "front" })))
	if stack.LoadBalancers[0].Name != "front" {
		t.Errorf("a name that is asked for became %q", stack.LoadBalancers[0].Name)
	}
}
