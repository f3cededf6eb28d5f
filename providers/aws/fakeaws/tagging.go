package fakeaws

import (
	"maps"
	"slices"
	"strings"

	tagging "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
)

const (
	resourcesPerPage = 100
	filterKeys       = 50
	filterValues     = 20
)

// resource is one as the tagging API knows it.
type resource struct {
	arn  string
	tags map[string]string
}

// getResources lists what has the tags, as they were a while ago.
func (c *Cloud) getResources(in *tagging.GetResourcesInput) (*tagging.GetResourcesOutput, error) {
	wrong := func(format string, args ...any) error { return refuse("InvalidParameterException", format, args...) }
	paged := in.ResourcesPerPage != nil || in.TagsPerPage != nil || str(in.PaginationToken) != ""
	switch {
	case len(in.ResourceARNList) > 0 && (len(in.TagFilters) > 0 || len(in.ResourceTypeFilters) > 0 || paged):
		return nil, wrong("ResourceARNList cannot be used together with filters or pagination")
	case in.ResourcesPerPage != nil && (*in.ResourcesPerPage < 1 || *in.ResourcesPerPage > resourcesPerPage):
		return nil, wrong("ResourcesPerPage must be between 1 and %d", resourcesPerPage)
	case in.TagsPerPage != nil || in.IncludeComplianceDetails != nil || in.ExcludeCompliantResources != nil:
		return nil, wrong("TagsPerPage and compliance are not understood here")
	case len(in.TagFilters) > filterKeys:
		return nil, wrong("A request can have up to %d tag filters", filterKeys)
	}
	for _, f := range in.TagFilters {
		if str(f.Key) == "" || len(f.Values) > filterValues {
			return nil, wrong("A tag filter has a key and up to %d values", filterValues)
		}
	}
	var found []resource
	for _, r := range c.resources() {
		if r.matches(in) {
			found = append(found, r)
		}
	}
	page, next, ok := pageOf(c, found, func(r resource) string { return r.arn }, in.PaginationToken, in.ResourcesPerPage, resourcesPerPage)
	if !ok {
		return nil, refuse("PaginationTokenExpiredException", "The pagination token is not valid")
	}
	if next == nil {
		next = ptr("")
	}
	out := &tagging.GetResourcesOutput{ResourceTagMappingList: []types.ResourceTagMapping{}, PaginationToken: next}
	for _, r := range page {
		shown := types.ResourceTagMapping{ResourceARN: ptr(r.arn), Tags: []types.Tag{}}
		for _, key := range sortedKeys(r.tags) {
			shown.Tags = append(shown.Tags, types.Tag{Key: ptr(key), Value: ptr(r.tags[key])})
		}
		out.ResourceTagMappingList = append(out.ResourceTagMappingList, shown)
	}
	return out, nil
}

// resources are those that had tags when the tagging API last looked.
func (c *Cloud) resources() []resource {
	seen := c.now().Add(-c.options.Delays.Tagging)
	var all []resource
	for _, arn := range slices.Sorted(maps.Keys(c.tagged)) {
		versions := c.current(arn, c.now())
		c.tagged[arn] = versions
		oldest := versions[0]
		switch {
		case oldest.at.After(seen): // too young to be known
		case oldest.tags == nil:
			delete(c.tagged, arn)
		default:
			all = append(all, resource{arn: arn, tags: oldest.tags})
		}
	}
	return all
}

func (r resource) matches(in *tagging.GetResourcesInput) bool {
	if len(in.ResourceARNList) > 0 {
		return slices.Contains(in.ResourceARNList, r.arn)
	}
	for _, f := range in.TagFilters {
		value, ok := r.tags[*f.Key]
		if !ok || len(f.Values) > 0 && !slices.Contains(f.Values, value) {
			return false
		}
	}
	return len(in.ResourceTypeFilters) == 0 || slices.ContainsFunc(in.ResourceTypeFilters, r.is)
}

// is says whether the resource is of a type such as ec2, ec2:security-group or
// elasticloadbalancing:loadbalancer.
func (r resource) is(kind string) bool {
	parts := strings.SplitN(r.arn, ":", 6)
	service, resourceType, typed := strings.Cut(kind, ":")
	return parts[2] == service && (!typed || strings.HasPrefix(parts[5], resourceType+"/"))
}
