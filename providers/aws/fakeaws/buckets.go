package fakeaws

import (
	"path"
	"time"
)

// Bucket throttles actions: each call takes a token, and one that finds none is
// refused. The first Bucket that an action matches holds for it.
type Bucket struct {
	// Actions is a pattern such as elasticloadbalancing:Describe*.
	Actions string
	// Each gives every action that matches a bucket of its own.
	Each bool
	// Size is how many tokens the bucket holds, Refill how many are added per
	// second.
	Size, Refill float64
}

// AWSBuckets are those that AWS documents for an account and Region. For calls
// that change something Elastic Load Balancing documents none: the figures are
// those to which the AWS Load Balancer Controller keeps itself.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html
// and https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
func AWSBuckets() []Bucket {
	return []Bucket{
		{Actions: "elasticloadbalancing:Describe*", Size: 40, Refill: 10},
		{Actions: "elasticloadbalancing:*", Size: 20, Refill: 3},
		{Actions: "ec2:Describe*", Each: true, Size: 100, Refill: 20},
		{Actions: "ec2:*", Each: true, Size: 50, Refill: 5},
		{Actions: "tag:*", Each: true, Size: 15, Refill: 15},
	}
}

// level is how full a bucket is.
type level struct {
	tokens float64
	at     time.Time
}

// take takes a token for action, or says that there is none.
func (c *Cloud) take(action string, now time.Time) bool {
	for _, b := range c.options.Buckets {
		if match, _ := path.Match(b.Actions, action); !match {
			continue
		}
		key := b.Actions
		if b.Each {
			key = action
		}
		l, ok := c.levels[key]
		if !ok {
			l = &level{tokens: b.Size, at: now}
			c.levels[key] = l
		}
		l.tokens = min(b.Size, l.tokens+now.Sub(l.at).Seconds()*b.Refill)
		l.at = now
		if l.tokens < 1 {
			return false
		}
		l.tokens--
		return true
	}
	return true
}
