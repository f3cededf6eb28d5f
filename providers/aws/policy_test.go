package aws

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// calledByName are the actions that are called: the methods of Clients, which have
// nothing else to call AWS by.
func calledByName() map[string]bool {
	called := map[string]bool{}
	for prefix, calls := range map[string][]reflect.Type{
		"elasticloadbalancing:": {reflect.TypeFor[Balancing](), reflect.TypeFor[BalancingChange]()},
		"ec2:":                  {reflect.TypeFor[Network](), reflect.TypeFor[NetworkChange]()},
		"tag:":                  {reflect.TypeFor[Tagging]()},
	} {
		for _, c := range calls {
			for i := range c.NumMethod() {
				called[prefix+c.Method(i).Name] = true
			}
		}
	}
	return called
}

// behind are actions that AWS asks for in calls of another name.
var behind = map[string]string{
	"ec2:DescribeAccountAttributes": "CreateLoadBalancer",
	"ec2:DescribeAddresses":         "CreateLoadBalancer and SetSubnets, with allocations",
	"ec2:DescribeInternetGateways":  "CreateLoadBalancer, internet-facing",
	"iam:CreateServiceLinkedRole":   "the first CreateLoadBalancer of an account",
}

// The policy that users are told to give allows what is called, and nothing else.
func TestPolicy(t *testing.T) {
	allowed := map[string]bool{}
	for _, s := range documentedPolicy(t) {
		if s.Effect != "Allow" {
			t.Errorf("%s: effect %s", s.Sid, s.Effect)
		}
		for _, a := range s.Action {
			allowed[a] = true
		}
	}
	called := calledByName()
	for _, action := range slices.Sorted(maps.Keys(called)) {
		if !allowed[action] {
			t.Errorf("%s is called, and the policy of docs/aws.md does not allow it", action)
		}
	}
	for _, action := range slices.Sorted(maps.Keys(allowed)) {
		if !called[action] && behind[action] == "" {
			t.Errorf("the policy of docs/aws.md allows %s, which is never called", action)
		}
	}
}

type statement struct {
	Sid, Effect string
	Action      actions
}

// actions are one or a list.
type actions []string

func (a *actions) UnmarshalJSON(text []byte) error {
	if one := ""; json.Unmarshal(text, &one) == nil {
		*a = actions{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

func documentedPolicy(t *testing.T) []statement {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "aws.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/aws.md has no policy")
	}
	var policy struct{ Statement []statement }
	if err := json.Unmarshal(block[1], &policy); err != nil {
		t.Fatal(err)
	}
	return policy.Statement
}

// No method is in Clients that nothing calls: it would be in the policy as well.
func TestCallsAreUsed(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "calls.go" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	for action := range calledByName() {
		_, name, _ := strings.Cut(action, ":")
		if !strings.Contains(source.String(), "."+name+"(") && !strings.Contains(source.String(), "New"+name+"Paginator(") {
			t.Errorf("nothing calls %s", action)
		}
	}
}
