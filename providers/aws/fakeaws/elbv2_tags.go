package fakeaws

import (
	"maps"
	"slices"
	"strings"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// taggable is something that has tags.
type taggable struct {
	arn  string
	tags map[string]string
	// guarded: the policy asks for the tag of the cluster.
	guarded bool
	set     func(map[string]string)
}

func (c *Cloud) taggable(arn string) (taggable, error) {
	resource := arn[strings.LastIndex(arn, ":")+1:]
	switch kind, _, _ := strings.Cut(resource, "/"); kind {
	case "loadbalancer":
		lb, err := c.loadBalancer(arn)
		if err != nil {
			return taggable{}, err
		}
		return taggable{arn, lb.tags, true, func(tags map[string]string) { lb.tags = tags }}, nil
	case "targetgroup":
		g, err := c.targetGroup(arn)
		if err != nil {
			return taggable{}, err
		}
		return taggable{arn, g.tags, true, func(tags map[string]string) { g.tags = tags }}, nil
	case "listener":
		l, err := c.listener(arn)
		if err != nil {
			return taggable{}, err
		}
		return taggable{arn, l.tags, false, func(tags map[string]string) { l.tags = tags }}, nil
	}
	return taggable{}, invalid("'%s' is not a valid ARN of something that has tags", arn)
}

func (c *Cloud) allTaggable(arns []string) ([]taggable, error) {
	if len(arns) > describedAtOnce {
		return nil, invalid("You cannot specify more than '%d' resources at a time", describedAtOnce)
	}
	var all []taggable
	for _, arn := range arns {
		t, err := c.taggable(arn)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func (c *Cloud) addTags(in *elbv2.AddTagsInput) (*elbv2.AddTagsOutput, error) {
	all, err := c.allTaggable(in.ResourceArns)
	if err != nil {
		return nil, err
	}
	tags, err := checkTags(in.Tags)
	if err != nil {
		return nil, err
	}
	changed := make([]map[string]string, len(all))
	for i, t := range all {
		if err := c.retags("AddTags", t, sortedKeys(tags)); err != nil {
			return nil, err
		}
		changed[i] = maps.Clone(t.tags)
		maps.Copy(changed[i], tags)
		if len(changed[i]) > c.options.Limits.Tags {
			return nil, refuse("TooManyTags", "The maximum number of tags on a resource is %d", c.options.Limits.Tags)
		}
	}
	for i, t := range all {
		t.set(changed[i])
		c.setTags(t.arn, changed[i])
	}
	return &elbv2.AddTagsOutput{}, nil
}

// retags refuses to touch the tag of the cluster, or what does not have it.
func (c *Cloud) retags(action string, t taggable, keys []string) error {
	if !t.guarded {
		return nil
	}
	if c.options.ClusterTag != "" && !c.root && slices.Contains(keys, c.options.ClusterTag) {
		return c.notAuthorized(dialects[elbv2Service], elbv2Service+":"+action)
	}
	return c.permitted(elbv2Service, action, t.tags)
}

func (c *Cloud) removeTags(in *elbv2.RemoveTagsInput) (*elbv2.RemoveTagsOutput, error) {
	all, err := c.allTaggable(in.ResourceArns)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if err := c.retags("RemoveTags", t, in.TagKeys); err != nil {
			return nil, err
		}
	}
	for _, t := range all {
		changed := maps.Clone(t.tags)
		for _, key := range in.TagKeys {
			delete(changed, key)
		}
		t.set(changed)
		c.setTags(t.arn, changed)
	}
	return &elbv2.RemoveTagsOutput{}, nil
}

func (c *Cloud) describeTags(in *elbv2.DescribeTagsInput) (*elbv2.DescribeTagsOutput, error) {
	all, err := c.allTaggable(in.ResourceArns)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeTagsOutput{TagDescriptions: []elb.TagDescription{}}
	for _, t := range all {
		out.TagDescriptions = append(out.TagDescriptions, elb.TagDescription{ResourceArn: ptr(t.arn), Tags: elbTags(t.tags)})
	}
	return out, nil
}
