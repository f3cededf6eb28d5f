//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// widest line of calls, and how far they are from the left.
const (
	callsEnd   = 100
	callsBegin = 27
)

// looks are the actions by which berth-controller watches what takes time at AWS,
// at its own pace.
var looks = []string{"DescribeLoadBalancers", "DescribeTargetHealth"}

// byPurpose parts calls: those that are made once for a cluster, those for the
// Services, and looks at what takes time.
func byPurpose(calls []fakeaws.Call) (cluster, services, watching []fakeaws.Call) {
	for _, call := range calls {
		switch {
		case slices.Contains(looks, call.Action):
			watching = append(watching, call)
		case call.Service != "elasticloadbalancing" && !call.Changes(), strings.Contains(call.Parameters, "GroupName=k8s-traffic-"):
			cluster = append(cluster, call)
		default:
			services = append(services, call)
		}
	}
	return cluster, services, watching
}

// showCalls shows what was called how often, in the order of the first calls.
func showCalls(purpose string, calls []fakeaws.Call) {
	times := map[string]int{}
	var actions []string
	for _, call := range calls {
		if times[call.Action]++; times[call.Action] == 1 {
			actions = append(actions, call.Action)
		}
	}
	line := fmt.Sprintf("  %-21s %2d ", purpose, len(calls))
	for i, action := range actions {
		if times[action] > 1 {
			action = fmt.Sprintf("%s x %d", action, times[action])
		}
		if i < len(actions)-1 {
			action += ","
		}
		if len(line)+1+len(action) > callsEnd {
			fmt.Println(line)
			line = strings.Repeat(" ", callsBegin-1)
		}
		line += " " + action
	}
	fmt.Println(strings.TrimRight(line, " "))
}
