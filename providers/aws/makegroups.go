package aws

import (
	"cmp"
	"context"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth-lb/berth/providers/aws/plan"
)

func (e *execution) createSecurityGroup(ctx context.Context, g plan.SecurityGroup) error {
	out, err := e.calls.NetworkChange.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName:         &g.Name,
		Description:       &g.Description,
		VpcId:             &e.vpc,
		TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeSecurityGroup, Tags: ec2Tags(g.Tags)}},
	})
	if codeOf(err) == "InvalidGroup.Duplicate" {
		return e.findSecurityGroup(ctx, g.Name)
	}
	if err != nil {
		return err
	}
	g.ID, g.Ingress = sdk.ToString(out.GroupId), nil
	e.inventory.add(e.stack, g.ID)
	e.note(func(s *plan.Stack) {
		e.made[plan.ManagedGroup] = g.ID
		s.Groups = append(s.Groups, g)
	})
	return nil
}

// findSecurityGroup looks up the one that has the name which was to be made: if
// it is ours, AWS is observed again, with it.
func (e *execution) findSecurityGroup(ctx context.Context, name string) error {
	filters := append(filter("group-name", name), filter("vpc-id", e.vpc)...)
	found, err := listGroups(ctx, e.calls.Network, filters)
	if err != nil {
		return err
	}
	for id, g := range found {
		if err := e.ours(id, g.Tags); err != nil {
			return err
		}
		e.inventory.add(e.stack, id)
	}
	return errStale
}

// authorizeIngress adds the rules that are not there yet.
func (e *execution) authorizeIngress(ctx context.Context, c plan.AuthorizeIngress) error {
	id := e.name(c.Group)
	has := e.rulesOf(id)
	err := e.authorize(ctx, id, slices.DeleteFunc(slices.Clone(c.Rules), func(r plan.Rule) bool { return slices.Contains(has, r) }))
	if codeOf(err) == "RulesPerSecurityGroupLimitExceeded" {
		return e.exchangeRules(ctx, id, err)
	}
	return err
}

// exchangeRules removes rules of a group that is full before it adds others. Where
// there is no room for these either, the group gets back what it had.
func (e *execution) exchangeRules(ctx context.Context, id string, full error) error {
	has := e.rulesOf(id)
	add, remove, fits := plan.Exchange(has, e.desired.Groups[0].Ingress)
	if !fits {
		return full
	}
	if err := e.revoke(ctx, id, remove); err != nil {
		return err
	}
	err := e.authorize(ctx, id, add)
	if err == nil {
		return nil
	}
	lacks, added, _ := plan.Exchange(e.rulesOf(id), has)
	if undo := cmp.Or(e.revoke(ctx, id, added), e.authorize(ctx, id, lacks)); undo != nil {
		return undo
	}
	return err
}

// revokeIngress removes the rules that are still there.
func (e *execution) revokeIngress(ctx context.Context, c plan.RevokeIngress) error {
	id := e.name(c.Group)
	has := e.rulesOf(id)
	return e.revoke(ctx, id, slices.DeleteFunc(slices.Clone(c.Rules), func(r plan.Rule) bool { return !slices.Contains(has, r) }))
}

func (e *execution) authorize(ctx context.Context, id string, add []plan.Rule) error {
	for rules := range slices.Chunk(add, maxOwnedRules) {
		_, err := e.calls.NetworkChange.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: permissionsTo(rules)})
		if err != nil {
			return err
		}
		e.ingress(id, func(has []plan.Rule) []plan.Rule { return append(slices.Clone(has), rules...) })
	}
	return nil
}

func (e *execution) revoke(ctx context.Context, id string, remove []plan.Rule) error {
	for rules := range slices.Chunk(remove, maxOwnedRules) {
		_, err := e.calls.NetworkChange.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: permissionsTo(rules)})
		if err != nil {
			return err
		}
		e.ingress(id, func(has []plan.Rule) []plan.Rule {
			return slices.DeleteFunc(slices.Clone(has), func(r plan.Rule) bool { return slices.Contains(rules, r) })
		})
	}
	return nil
}

// ingress changes what AWS holds of the rules of a group.
func (e *execution) ingress(id string, change func([]plan.Rule) []plan.Rule) {
	e.note(func(s *plan.Stack) {
		for i := range s.Groups {
			if g := &s.Groups[i]; g.ID == id {
				g.Ingress = change(g.Ingress)
			}
		}
	})
}

func (e *execution) rulesOf(id string) (rules []plan.Rule) {
	e.ingress(id, func(has []plan.Rule) []plan.Rule { rules = has; return has })
	return rules
}

func (e *execution) deleteSecurityGroup(ctx context.Context, c plan.DeleteSecurityGroup) error {
	_, err := e.calls.NetworkChange.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &c.ID})
	if err != nil && !isNotFound(err) {
		return err
	}
	e.inventory.drop(e.stack, c.ID)
	e.note(func(s *plan.Stack) {
		s.Groups = slices.DeleteFunc(slices.Clone(s.Groups), func(g plan.SecurityGroup) bool { return g.ID == c.ID })
	})
	return nil
}
