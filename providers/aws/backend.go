package aws

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// The security group that is attached to all load balancers of the cluster, as
// the AWS Load Balancer Controller has it.
const (
	tagClusterResource = "elbv2.k8s.aws/resource"
	backendResource    = "backend-sg"
	backendDescription = "[k8s] Shared Backend SecurityGroup for LoadBalancer"
)

// maxOwnedRules is how many rules a call takes.
const maxOwnedRules = 50

// unhurried is the time between rounds for load balancers that AWS sets up, which
// takes a few times as long: where many are made, few rounds serve them all.
const unhurried = 40 * time.Second

// backend keeps the security groups of nodes open to load balancers. There are
// few of them, which all Services share: who needs something waits for the round
// that opens it, and a round does so for all who wait.
type backend struct {
	calls    Clients
	topology *topology
	cluster  plan.Cluster
	vpc      string
	managed  bool
	// dry has nothing be made.
	dry bool
	log logr.Logger

	// shared is the ID of the cluster's group, made if it is not there.
	shared cached[string]
	rounds batch[struct{}]
	// turn is taken by the round that is at work.
	turn chan struct{}
	// soon has groups be brought in line that nobody waits for.
	soon *agenda[string]
	// exist lists the stacks that there are.
	exist func() []string

	mu    sync.Mutex
	needs map[string][]plan.Need
	// sure are the stacks whose needs were decided with what exists in view: only
	// when all are, a rule that nobody needs is one that nobody needs.
	sure map[string]bool
	// replaced are the stacks whose needs are those of an old load balancer, too.
	replaced map[string]bool
	// next is when the next round comes that nobody waits for, by group.
	next map[string]time.Time
	// rules are those of the groups of nodes, as of when they were looked at.
	rules map[string]groupRules
	// dirty are the groups in which the last round failed.
	dirty map[string]bool
	told  map[string]bool
}

type groupRules struct {
	at    time.Time
	rules []plan.Rule
}

func newBackend(o Options, t *topology, exist func() []string) *backend {
	b := &backend{
		calls:    o.Clients,
		topology: t,
		cluster:  o.Cluster,
		vpc:      o.VPC,
		managed:  !o.LeaveNodeGroups,
		dry:      o.DryRun,
		log:      o.Log,
		turn:     make(chan struct{}, 1),
		soon:     newAgenda[string](),
		exist:    exist,
		next:     map[string]time.Time{},
		needs:    map[string][]plan.Need{},
		sure:     map[string]bool{},
		replaced: map[string]bool{},
		rules:    map[string]groupRules{},
		dirty:    map[string]bool{},
		told:     map[string]bool{},
	}
	b.shared.load = b.create
	b.rounds = batch[struct{}]{size: ec2Batch, fetch: b.round}
	return b
}

// find returns the cluster's group among all, empty if it is not there.
func (b *backend) find(all securityGroups) string {
	var ids []string
	for id, g := range all {
		if g.Tags[plan.TagCluster] == b.cluster.Name && g.Tags[tagClusterResource] == backendResource {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	return slices.Min(ids)
}

// group returns the cluster's group, which is made if it is not there; empty
// where the groups of nodes are left alone.
func (b *backend) group(ctx context.Context, all securityGroups) (string, error) {
	if !b.managed {
		return "", nil
	}
	if id := b.find(all); id != "" {
		return id, nil
	}
	if b.dry {
		return newBackendGroup, nil
	}
	return b.shared.get(ctx, topologyAge)
}

// newBackendGroup stands for the cluster's group in a dry run, where that would
// be made.
const newBackendGroup = "sg-new-shared-group"

func (b *backend) create(ctx context.Context) (string, error) {
	tags := with(b.cluster.Tags, map[string]string{plan.TagCluster: b.cluster.Name, tagClusterResource: backendResource})
	name := b.name()
	out, err := b.calls.NetworkChange.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName:         &name,
		Description:       new(backendDescription),
		VpcId:             &b.vpc,
		TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeSecurityGroup, Tags: ec2Tags(tags)}},
	})
	if err != nil && codeOf(err) != "InvalidGroup.Duplicate" {
		return "", explain("create the shared security group "+name, err)
	}
	b.topology.groups.forget()
	if err == nil {
		return sdk.ToString(out.GroupId), nil
	}
	all, err := b.topology.groups.get(ctx, topologyAge)
	if err != nil {
		return "", err
	}
	if id := b.find(all.byID); id != "" {
		return id, nil
	}
	return "", refusal(providers.ReasonBackendError, afterDenial,
		"security group %s of VPC %s has the name that the shared group of the cluster needs, and not its tags %s=%s and %s=%s: delete it, or tag it so",
		name, b.vpc, plan.TagCluster, b.cluster.Name, tagClusterResource, backendResource)
}

func (b *backend) name() string {
	sum := sha256.Sum256([]byte(b.cluster.Name))
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", r) {
			return r
		}
		return -1
	}, b.cluster.Name)
	return fmt.Sprintf("k8s-traffic-%.200s-%.10s", plain, hex.EncodeToString(sum[:]))
}

// remember notes what a stack needs that nothing has to be opened for, as was
// decided without looking at what exists.
func (b *backend) remember(stack string, req plan.Request) {
	wanted, _, err := plan.Desired(req)
	if err != nil || !b.managed {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.sure[stack] {
		b.needs[stack] = plan.BackendNeeds(req, wanted)
	}
}

// note takes down what a stack needs for sure, and says whether it needed more
// before, for a load balancer that was replaced.
func (b *backend) note(stack string, req plan.Request, desired plan.Stack) (less bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	had := b.replaced[stack]
	b.replaced[stack] = len(plan.Predecessors(req.Existing, desired)) > 0
	b.needs[stack], b.sure[stack] = plan.BackendNeeds(req, desired), true
	return had && !b.replaced[stack]
}

// open has all groups of nodes let in what a stack needs, and no more what only a
// load balancer needed that was replaced.
func (b *backend) open(ctx context.Context, stack string, req plan.Request, desired plan.Stack) error {
	if !b.managed {
		return nil
	}
	less := b.note(stack, req, desired)
	closed, err := b.closed(ctx, stack, req, desired)
	if err != nil {
		return err
	}
	if _, err = b.rounds.get(ctx, closed...); err != nil || !less {
		return err
	}
	return b.tidy(ctx)
}

// openSoon is open without waiting, for what takes no traffic yet. It says
// whether all is open.
func (b *backend) openSoon(ctx context.Context, stack string, req plan.Request, desired plan.Stack) (bool, error) {
	if !b.managed {
		return true, nil
	}
	closed, err := b.closed(ctx, stack, req, desired)
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range closed {
		if b.next[id].Before(now) {
			b.next[id] = now
		}
		b.soon.by(id, b.next[id])
	}
	return err == nil && len(closed) == 0, err
}

// run makes the rounds that nobody waits for. One that fails is made again for
// the first who does wait.
func (b *backend) run(ctx context.Context) {
	for due := b.soon.next(ctx); due != nil; due = b.soon.next(ctx) {
		b.mu.Lock()
		for _, id := range due {
			b.next[id] = time.Now().Add(unhurried)
		}
		b.mu.Unlock()
		if _, err := b.rounds.get(ctx, due...); err != nil && ctx.Err() == nil {
			b.log.Error(err, "letting load balancers into security groups of nodes ahead of time")
		}
	}
}

// closed takes down what a stack needs, and returns the groups of nodes that are
// not known to let that in.
func (b *backend) closed(ctx context.Context, stack string, req plan.Request, desired plan.Stack) (closed []string, err error) {
	b.note(stack, req, desired)
	groups, err := b.groupsToOpen(ctx, stack, req, desired)
	if err != nil {
		return nil, err
	}
	all, err := b.topology.groups.get(ctx, topologyAge)
	for _, id := range groups {
		if !b.isOpen(id, stack, req.Cloud.BackendGroup, all) {
			closed = append(closed, id)
		}
	}
	return closed, err
}

// forget closes what only this stack needed.
func (b *backend) forget(ctx context.Context, stack string) error {
	b.mu.Lock()
	delete(b.needs, stack)
	delete(b.sure, stack)
	delete(b.replaced, stack)
	b.mu.Unlock()
	return b.tidy(ctx)
}

// tidy brings all groups in line with what is needed that have a rule of ours,
// or are known to need one.
func (b *backend) tidy(ctx context.Context) error {
	if !b.managed {
		return nil
	}
	all, err := b.topology.groups.get(ctx, topologyAge)
	if err != nil {
		return err
	}
	shared := b.find(all.byID)
	b.mu.Lock()
	groups := maps.Clone(b.rules)
	b.mu.Unlock()
	for id, g := range all.byID {
		if _, ours := plan.BackendRules(nil, true, g.Ingress, shared); len(ours) > 0 {
			groups[id] = groupRules{}
		}
	}
	_, err = b.rounds.get(ctx, sortedKeys(groups)...)
	return err
}

// isOpen says whether a group is known to let in what a stack needs, and nothing
// was left to do there.
func (b *backend) isOpen(group, stack, shared string, all vpcGroups) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.known(group, all)
	add, _ := plan.BackendRules(b.needs[stack], true, known.rules, shared)
	return !b.dirty[group] && time.Since(known.at) < topologyAge && len(add) == 0
}

// round brings groups of nodes in line with what all stacks need.
func (b *backend) round(ctx context.Context, groups []string) (map[string]struct{}, error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := map[string]struct{}{}
	for _, id := range groups {
		err := b.bring(ctx, id)
		if codeOf(err) == "InvalidPermission.Duplicate" || isNotFound(err) {
			b.topology.groups.forget()
			err = b.bring(ctx, id)
		}
		b.mu.Lock()
		b.dirty[id] = err != nil
		b.mu.Unlock()
		if err != nil {
			return nil, explain("change the rules of the nodes' security group "+id, err)
		}
		done[id] = struct{}{}
	}
	return done, nil
}

// bring opens one group, and closes what is not needed.
func (b *backend) bring(ctx context.Context, id string) error {
	all, err := b.topology.groups.get(ctx, topologyAge)
	if err != nil {
		return err
	}
	shared := b.find(all.byID)
	if shared == "" && b.needed() {
		if shared, err = b.group(ctx, all.byID); err != nil {
			return err
		}
	}
	if _, there := all.byID[id]; !there {
		b.lose(id)
		return nil
	}
	add, remove := b.decide(id, shared, all)
	replaced, needless := plan.Replaced(remove, add)
	if err := b.revoke(ctx, id, needless); err != nil {
		return err
	}
	err = b.authorize(ctx, id, add)
	if codeOf(err) == "RulesPerSecurityGroupLimitExceeded" && len(replaced) > 0 {
		// There is no room for both: what is replaced makes some.
		if err := b.revoke(ctx, id, replaced); err != nil {
			return err
		}
		return b.authorize(ctx, id, add)
	}
	if err != nil {
		return err
	}
	return b.revoke(ctx, id, replaced)
}

func (b *backend) authorize(ctx context.Context, id string, add []plan.Rule) error {
	for rules := range slices.Chunk(add, maxOwnedRules) {
		_, err := b.calls.NetworkChange.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: permissionsTo(rules)})
		if err != nil {
			return err
		}
		b.changed(id, func(has []plan.Rule) []plan.Rule { return append(slices.Clone(has), rules...) })
	}
	return nil
}

func (b *backend) revoke(ctx context.Context, id string, remove []plan.Rule) error {
	for rules := range slices.Chunk(remove, maxOwnedRules) {
		_, err := b.calls.NetworkChange.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: permissionsTo(rules)})
		if err != nil {
			return err
		}
		b.changed(id, func(has []plan.Rule) []plan.Rule {
			return slices.DeleteFunc(slices.Clone(has), func(r plan.Rule) bool { return slices.Contains(rules, r) })
		})
	}
	return nil
}

func (b *backend) needed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, needs := range b.needs {
		if len(needs) > 0 {
			return true
		}
	}
	return false
}

// lose forgets a group that is gone: the nodes that had it are, too.
func (b *backend) lose(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.rules, id)
	delete(b.dirty, id)
	delete(b.next, id)
}

// decide says what is to change in a group of nodes.
func (b *backend) decide(id, shared string, all vpcGroups) (add, remove []plan.Rule) {
	exist := b.exist()
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.known(id, all)
	var needs []plan.Need
	for _, stack := range slices.Sorted(maps.Keys(b.needs)) {
		needs = append(needs, b.needs[stack]...)
	}
	complete := !slices.ContainsFunc(exist, func(stack string) bool { return !b.sure[stack] })
	return plan.BackendRules(needs, complete, known.rules, shared)
}

// known are the rules of a group, as all has them or as they were changed since.
// The lock is held.
func (b *backend) known(id string, all vpcGroups) groupRules {
	known, ok := b.rules[id]
	if !ok || known.at.Before(all.at) {
		known = groupRules{at: all.at, rules: all.byID[id].Ingress}
		b.rules[id] = known
	}
	return known
}

// plan returns what open would change.
func (b *backend) plan(ctx context.Context, stack string, req plan.Request, desired plan.Stack) ([]plan.Change, error) {
	if !b.managed {
		return nil, nil
	}
	b.note(stack, req, desired)
	groups, err := b.groupsToOpen(ctx, stack, req, desired)
	if err != nil {
		return nil, err
	}
	all, err := b.topology.groups.get(ctx, topologyAge)
	if err != nil {
		return nil, err
	}
	var changes []plan.Change
	for _, id := range groups {
		if add, _ := b.decide(id, req.Cloud.BackendGroup, all); len(add) > 0 {
			changes = append(changes, plan.AuthorizeIngress{Group: id, Rules: add})
		}
	}
	return changes, nil
}

// refresh takes over what a later look at the groups of nodes saw.
func (b *backend) refresh(all vpcGroups) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, known := range b.rules {
		if known.at.Before(all.at) {
			b.rules[id] = groupRules{at: all.at, rules: all.byID[id].Ingress}
		}
	}
}

func (b *backend) changed(id string, change func([]plan.Rule) []plan.Rule) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules[id] = groupRules{at: time.Now(), rules: change(b.rules[id].rules)}
}

// groupsToOpen returns the groups of all nodes and of the pods that are targets,
// sorted: one of each. Nodes count before pods are there, so that those find them
// open; pods may have network interfaces of their own.
func (b *backend) groupsToOpen(ctx context.Context, stack string, req plan.Request, desired plan.Stack) ([]string, error) {
	b.mu.Lock()
	needed := len(b.needs[stack]) > 0
	b.mu.Unlock()
	if !needed {
		return nil, nil
	}
	nodes, err := b.topology.instances.get(ctx, instancesOf(req.Nodes))
	if err != nil {
		return nil, err
	}
	pods, err := b.topology.addresses.get(ctx, podsIn(desired))
	if err != nil {
		return nil, err
	}
	all, err := b.topology.groups.get(ctx, topologyAge)
	if err != nil {
		return nil, err
	}
	chosen := map[string]bool{}
	for _, has := range []map[string][]string{nodes, pods} {
		for _, id := range sortedKeys(has) {
			if group := b.choose(has[id], all.byID); group != "" {
				chosen[group] = true
			}
		}
	}
	return sortedKeys(chosen), nil
}

// podsIn returns the addresses of targets that network interfaces of the VPC may
// have, sorted. Those of IPv6 are out of prefixes, which can't be looked for.
func podsIn(desired plan.Stack) []string {
	var addresses []string
	for _, g := range desired.TargetGroups {
		for _, t := range g.Targets {
			if g.TargetType == annotation.IP && t.Zone == "" && !strings.Contains(t.ID, ":") {
				addresses = append(addresses, t.ID)
			}
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

// instancesOf returns the IDs of instances, sorted; other nodes are left out.
func instancesOf(nodes []*corev1.Node) []string {
	var ids []string
	for _, n := range nodes {
		id := n.Spec.ProviderID[strings.LastIndexByte(n.Spec.ProviderID, '/')+1:]
		if strings.HasPrefix(n.Spec.ProviderID, "aws://") && strings.HasPrefix(id, "i-") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// choose returns the one of the groups of a node or pod that is opened: of several, that
// with the cluster's tag, and of several of those the first.
func (b *backend) choose(ids []string, all securityGroups) string {
	tag := "kubernetes.io/cluster/" + b.cluster.Name
	tagged := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		_, has := all[id].Tags[tag]
		return !has
	})
	candidates := ids
	if len(tagged) > 0 {
		candidates = tagged
	}
	if len(candidates) > 1 {
		b.tell(candidates, len(tagged) > 0, tag)
	}
	return cmp.Or(append(candidates, "")...)
}

// tell says once that a choice was made.
func (b *backend) tell(candidates []string, tagged bool, tag string) {
	key := strings.Join(candidates, " ")
	b.mu.Lock()
	told := b.told[key]
	b.told[key] = true
	b.mu.Unlock()
	if !told {
		b.log.Info("nodes or pods have several security groups that may be opened to load balancers: the first is taken; tag one alone to choose another",
			"groups", candidates, "tag", tag, "tagged", tagged)
	}
}
