package fakeaws

import (
	"maps"
	"regexp"
	"strings"
	"time"

	ec2 "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// checkTags refuses what no service takes as tags.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Tag.html
func checkTags(tags []elb.Tag) (map[string]string, error) {
	checked := map[string]string{}
	for _, t := range tags {
		key, value := str(t.Key), str(t.Value)
		switch {
		case key == "" || len(key) > 128 || len(value) > 256 || !tagText.MatchString(key+value):
			return nil, invalid("Tag %q=%q is not valid: keys have 1 to 128 and values up to 256 letters, digits, spaces or _.:/=+-@", key, value)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, invalid("Tag key %q: aws: prefixed tag key names are not allowed for external use.", key)
		}
		if _, twice := checked[key]; twice {
			return nil, refuse("DuplicateTagKeys", "Tag key %q is there more than once", key)
		}
		checked[key] = value
	}
	return checked, nil
}

// newTags are those of something that is being made.
func (c *Cloud) newTags(tags []elb.Tag) (map[string]string, error) {
	checked, err := checkTags(tags)
	if err == nil && len(checked) > c.options.Limits.Tags {
		err = refuse("TooManyTags", "The maximum number of tags on a resource is %d", c.options.Limits.Tags)
	}
	return checked, err
}

// permitted is what the IAM policy of the AWS Load Balancer Controller asks of the
// tags that something is made with, or has.
func (c *Cloud) permitted(service, action string, tags map[string]string) error {
	if key := c.options.ClusterTag; key != "" && !c.root {
		if _, ok := tags[key]; !ok {
			return c.notAuthorized(dialects[service], service+":"+action)
		}
	}
	return nil
}

// setTags remembers the tags of arn, for those that look by and by; nil that it
// is gone.
func (c *Cloud) setTags(arn string, tags map[string]string) {
	now := c.now()
	c.tagged[arn] = append(c.current(arn, now), tagVersion{at: now, tags: maps.Clone(tags)})
}

// current forgets the versions that nobody sees any more.
func (c *Cloud) current(arn string, now time.Time) []tagVersion {
	versions := c.tagged[arn]
	for len(versions) > 1 && !versions[1].at.After(now.Add(-c.options.Delays.Tagging)) {
		versions = versions[1:]
	}
	return versions
}

func elbTags(tags map[string]string) []elb.Tag {
	list := []elb.Tag{}
	for _, key := range sortedKeys(tags) {
		list = append(list, elb.Tag{Key: ptr(key), Value: ptr(tags[key])})
	}
	return list
}

func ec2Tags(tags map[string]string) []ec2.Tag {
	var list []ec2.Tag
	for _, key := range sortedKeys(tags) {
		list = append(list, ec2.Tag{Key: ptr(key), Value: ptr(tags[key])})
	}
	return list
}

func fromEC2(tags []ec2.Tag) []elb.Tag {
	var list []elb.Tag
	for _, t := range tags {
		list = append(list, elb.Tag{Key: t.Key, Value: t.Value})
	}
	return list
}

func ptr[T any](v T) *T { return &v }

// str is what p points to, empty for nil.
func str(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// text is nil for what is empty.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
