package fakeaws

import (
	"cmp"
	"time"
)

// Options say what a cloud is like. The zero value is one account in one Region
// with AWS's default quotas, in which everything happens at once and nothing is
// throttled.
type Options struct {
	// Region is eu-west-1 and Account 123456789012 where they are empty.
	Region, Account string
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
	// Latency is how long every call takes, by the clock of the process.
	Latency time.Duration
	// Limits that are zero are AWS's defaults.
	Limits Limits
	Delays Delays
	// Buckets throttle; none where it is nil. AWSBuckets are the documented ones.
	Buckets []Bucket
	// PageSize bounds the pages of all lists, for tests of pagination; zero leaves
	// them as AWS has them.
	PageSize int
	// ClusterTag refuses, as the IAM policy of the AWS Load Balancer Controller
	// does, to create what does not carry this tag and to change what does not
	// have it. Usually "elbv2.k8s.aws/cluster"; empty leaves it out.
	ClusterTag string
}

// Limits are the quotas of an account.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html
// and https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
type Limits struct {
	LoadBalancers      int // in the Region, 50
	Listeners          int // of a load balancer, 50
	TargetGroups       int // in the Region, 3,000
	Targets            int // of a target group, 1,000
	TargetsPerZone     int // of a load balancer, counted once per group, 500
	Certificates       int // of a listener, besides the default one, 25
	SecurityGroups     int // in the Region, 2,500
	Rules              int // of a security group, inbound, per family, 60
	GroupsPerInterface int // of a network interface or load balancer, 5
	Tags               int // of a resource, 50
}

func (l Limits) orAWS() Limits {
	return Limits{
		LoadBalancers:      cmp.Or(l.LoadBalancers, 50),
		Listeners:          cmp.Or(l.Listeners, 50),
		TargetGroups:       cmp.Or(l.TargetGroups, 3000),
		Targets:            cmp.Or(l.Targets, 1000),
		TargetsPerZone:     cmp.Or(l.TargetsPerZone, 500),
		Certificates:       cmp.Or(l.Certificates, 25),
		SecurityGroups:     cmp.Or(l.SecurityGroups, 2500),
		Rules:              cmp.Or(l.Rules, 60),
		GroupsPerInterface: cmp.Or(l.GroupsPerInterface, 5),
		Tags:               cmp.Or(l.Tags, 50),
	}
}

// Delays are how long things take. How long a target drains is an attribute of
// its target group.
type Delays struct {
	// Provisioning is how long a load balancer takes to become active.
	Provisioning time.Duration
	// Healthy is how long a target is initial once a listener uses its group.
	Healthy time.Duration
	// Detach is how long the network interfaces of a deleted load balancer keep
	// its security groups and addresses in use.
	Detach time.Duration
	// Release is how long the target groups of a deleted load balancer stay in use.
	Release time.Duration
	// Tagging is how far the Resource Groups Tagging API is behind.
	Tagging time.Duration
}

// AWSDelays are what one sees at AWS.
func AWSDelays() Delays {
	return Delays{
		Provisioning: 150 * time.Second,
		Healthy:      90 * time.Second,
		Detach:       60 * time.Second,
		Release:      5 * time.Second,
		Tagging:      20 * time.Second,
	}
}
