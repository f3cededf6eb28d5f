package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// Names are functions of what they name, so that a creation whose answer got
// lost finds itself again. Two things that have to exist beside each other,
// because one replaces the other, differ in what is hashed. The UID of the
// Service is not in there: one that is created anew finds what is left.

// loadBalancerName is at most 32 characters, unique in an account and Region.
func (o outline) loadBalancerName() string {
	if o.Settings.Name != "" {
		return o.Settings.Name
	}
	return o.name(resourceLoadBalancer, o.life())
}

// targetGroupName hashes the life of the load balancer too: a target group
// serves one load balancer only, so that another one needs its own.
func (o outline) targetGroupName(g TargetGroup) string {
	return o.name(g.Key, g.Protocol, string(g.TargetType), g.IPAddressType, o.life())
}

// groupName is unique in a VPC.
func (o outline) groupName() string { return o.name(resourceGroup) }

func (o outline) life() string {
	if o.withGroups {
		return string(o.scheme)
	}
	return string(o.scheme) + " without security groups"
}

// name returns k8s-NAMESPACE-NAME-HASH with 8, 8 and 10 characters. The VPC is
// in the hash: names are unique in a Region, clusters with one name may not be.
func (o outline) name(parts ...string) string {
	svc := o.Service
	parts = append([]string{o.Cluster.Name, o.Cloud.VPC.ID, svc.Namespace, svc.Name}, parts...)
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return fmt.Sprintf("k8s-%.8s-%.8s-%.10s", alphanumeric(svc.Namespace), alphanumeric(svc.Name), hex.EncodeToString(sum[:]))
}

func alphanumeric(s string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return -1
	}, s)
}

// targetGroupKey names the target group of a port, in its tag as in a Stack.
func (o outline) targetGroupKey(port int32) string {
	return fmt.Sprintf("%s/%s:%d", o.Service.Namespace, o.Service.Name, port)
}

// keptFamily is that of the target group that serves port now, empty if none
// of type t does.
func (o outline) keptFamily(port int32, t annotation.TargetType) string {
	for _, g := range o.Existing.TargetGroups {
		if g.Key == o.targetGroupKey(port) && g.TargetType == t && o.existing != nil && serves(o.Existing, *o.existing, g) {
			return g.IPAddressType
		}
	}
	return ""
}
