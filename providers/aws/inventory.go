package aws

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	tagging "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	taggingtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"

	"github.com/berth-lb/berth/providers/aws/plan"
)

// inventory knows by name what each Service has at AWS. It is filled by listing
// what carries the cluster's tag, and kept up to date by whoever makes, finds or
// misses something.
type inventory struct {
	tagging Tagging
	cluster string
	// listed is when that was; what was listed is in stacks.
	listed cached[struct{}]

	mu     sync.Mutex
	stacks map[string]names
	// gone are what was deleted or not found. A listing is behind by a while and
	// may have them still; their names are never used again.
	gone map[string]time.Time
}

// names are the ARNs and, of security groups, IDs of what a stack has, with
// their tags as far as a listing saw them.
type names map[string]map[string]string

// What kind of thing a name is of.
const (
	aLoadBalancer  = ":loadbalancer/net/"
	aTargetGroup   = ":targetgroup/"
	aListener      = ":listener/net/"
	aSecurityGroup = "sg-"
)

func (n names) of(kind string) []string {
	var out []string
	for name := range n {
		if strings.Contains(name, kind) && strings.HasPrefix(name, "sg-") == (kind == aSecurityGroup) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// goneMemory is how long a listing may show what is gone, and more.
const goneMemory = 24 * time.Hour

func newInventory(calls Tagging, cluster string) *inventory {
	i := &inventory{tagging: calls, cluster: cluster, stacks: map[string]names{}, gone: map[string]time.Time{}}
	i.listed.load = i.list
	return i
}

// wait returns once something was listed. ever is what callers pass who don't
// mind when.
func (i *inventory) wait(ctx context.Context, age time.Duration) error {
	_, err := i.listed.get(ctx, age)
	return err
}

const ever = time.Duration(1<<63 - 1)

// list asks for everything with the cluster's tag, 100 a page.
//
// https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
func (i *inventory) list(ctx context.Context) (struct{}, error) {
	pages := tagging.NewGetResourcesPaginator(i.tagging, &tagging.GetResourcesInput{
		ResourceTypeFilters: []string{"elasticloadbalancing", "ec2:security-group"},
		TagFilters:          []taggingtypes.TagFilter{{Key: new(plan.TagCluster), Values: []string{i.cluster}}},
		ResourcesPerPage:    new(int32(100)),
	})
	found := map[string]names{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return struct{}{}, explain("list what carries the tag "+plan.TagCluster+"="+i.cluster, err)
		}
		for _, r := range page.ResourceTagMappingList {
			note(found, r)
		}
	}
	i.merge(found)
	return struct{}{}, nil
}

// note adds what belongs to a Service; not Ingresses' and the cluster's own.
func note(found map[string]names, r taggingtypes.ResourceTagMapping) {
	tags := map[string]string{}
	for _, t := range r.Tags {
		tags[sdk.ToString(t.Key)] = sdk.ToString(t.Value)
	}
	stack := tags[plan.TagStack]
	if namespace, name, ok := strings.Cut(stack, "/"); !ok || namespace == "" || name == "" {
		return
	}
	name := sdk.ToString(r.ResourceARN)
	if _, id, ok := strings.Cut(name, ":security-group/"); ok {
		name = id
	}
	if found[stack] == nil {
		found[stack] = names{}
	}
	found[stack][name] = tags
}

// merge adds what a listing found. What it lacks may be too new for it, or has
// lost its tags, or is gone: that shows when somebody describes it.
func (i *inventory) merge(found map[string]names) {
	i.mu.Lock()
	defer i.mu.Unlock()
	maps.DeleteFunc(i.gone, func(_ string, at time.Time) bool { return time.Since(at) > goneMemory })
	for stack, all := range i.stacks {
		for name := range all {
			if found[stack][name] == nil {
				all[name] = nil
			}
		}
	}
	for stack, all := range found {
		for name, tags := range all {
			if _, gone := i.gone[name]; !gone {
				i.put(stack, name, tags)
			}
		}
	}
}

func (i *inventory) put(stack, name string, tags map[string]string) {
	if i.stacks[stack] == nil {
		i.stacks[stack] = names{}
	}
	if _, known := i.stacks[stack][name]; !known || tags != nil {
		i.stacks[stack][name] = tags
	}
}

// add notes what was made or found.
func (i *inventory) add(stack string, all ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, name := range all {
		delete(i.gone, name)
		i.put(stack, name, nil)
	}
}

// drop notes what is gone.
func (i *inventory) drop(stack string, all ...string) {
	i.mu.Lock()
	for _, name := range all {
		i.gone[name] = time.Now()
	}
	i.mu.Unlock()
	i.disown(stack, all...)
}

// disown notes what is another's by now, and may become this stack's again.
func (i *inventory) disown(stack string, all ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, name := range all {
		delete(i.stacks[stack], name)
	}
	if len(i.stacks[stack]) == 0 {
		delete(i.stacks, stack)
	}
}

// foreign says whether tags are of another owner than a stack. Tags that somebody
// took away say nothing.
func (i *inventory) foreign(stack string, tags map[string]string) bool {
	cluster, tagged := tags[plan.TagCluster]
	owner, named := tags[plan.TagStack]
	return tagged && cluster != i.cluster || named && owner != stack
}

// of returns a copy of what a stack has.
func (i *inventory) of(stack string) names {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.stacks[stack])
}

// all lists the stacks, sorted.
func (i *inventory) all() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.stacks))
}
