package fakeaws

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// groupText is what names and descriptions of groups and rules are made of.
var groupText = regexp.MustCompile(`^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}$`)

func (c *Cloud) groupList() list[*securityGroup] {
	return list[*securityGroup]{
		all: c.groups, prefix: "sg-", notFound: "InvalidGroup.NotFound", malformed: "InvalidGroupId.Malformed",
		id: func(g *securityGroup) string { return g.id }, tags: func(g *securityGroup) map[string]string { return g.tags },
		filters: filters[*securityGroup]{
			"group-id":    func(g *securityGroup) []string { return []string{g.id} },
			"group-name":  func(g *securityGroup) []string { return []string{g.name} },
			"description": func(g *securityGroup) []string { return []string{g.description} },
			"vpc-id":      func(g *securityGroup) []string { return []string{g.vpc} },
			"ip-permission.group-id": func(g *securityGroup) []string {
				var groups []string
				for _, r := range g.rules {
					groups = append(groups, r.group)
				}
				return groups
			},
		},
	}
}

func (c *Cloud) describeSecurityGroups(in *ec2.DescribeSecurityGroupsInput) (*ec2.DescribeSecurityGroupsOutput, error) {
	if len(in.GroupNames) > 0 {
		return nil, badValue("Security groups of a VPC other than the default one are not described by name: use the filter 'group-name'")
	}
	page, next, err := describe(c, c.groupList(), asked{in.GroupIds, in.Filters, in.MaxResults, in.NextToken, in.DryRun})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeSecurityGroupsOutput{SecurityGroups: []ec2types.SecurityGroup{}, NextToken: next}
	for _, g := range page {
		out.SecurityGroups = append(out.SecurityGroups, ec2types.SecurityGroup{
			GroupId: &g.id, GroupName: &g.name, Description: &g.description, VpcId: &g.vpc, OwnerId: &c.options.Account, Tags: ec2Tags(g.tags),
			SecurityGroupArn: ptr(c.groupARN(g.id)), IpPermissions: c.permissions(g.rules),
			IpPermissionsEgress: []ec2types.IpPermission{{IpProtocol: ptr("-1"), IpRanges: []ec2types.IpRange{{CidrIp: ptr("0.0.0.0/0")}}, Ipv6Ranges: []ec2types.Ipv6Range{}, PrefixListIds: []ec2types.PrefixListId{}, UserIdGroupPairs: []ec2types.UserIdGroupPair{}}},
		})
	}
	return out, nil
}

func (c *Cloud) groupARN(id string) string { return c.arn(ec2Service, "security-group/"+id) }

// permissions shows rules as EC2 does: those of the same protocol and ports are
// one permission.
func (c *Cloud) permissions(rules []rule) []ec2types.IpPermission {
	shown := []ec2types.IpPermission{}
	at := map[string]int{}
	for _, r := range rules {
		key := fmt.Sprintf("%s/%d/%d", r.protocol, r.from, r.to)
		i, ok := at[key]
		if !ok {
			i = len(shown)
			at[key] = i
			p := ec2types.IpPermission{IpProtocol: ptr(r.protocol), IpRanges: []ec2types.IpRange{}, Ipv6Ranges: []ec2types.Ipv6Range{}, PrefixListIds: []ec2types.PrefixListId{}, UserIdGroupPairs: []ec2types.UserIdGroupPair{}}
			if r.protocol != "-1" {
				p.FromPort, p.ToPort = ptr(r.from), ptr(r.to)
			}
			shown = append(shown, p)
		}
		p := &shown[i]
		switch {
		case r.group != "":
			p.UserIdGroupPairs = append(p.UserIdGroupPairs, ec2types.UserIdGroupPair{GroupId: ptr(r.group), UserId: &c.options.Account, Description: text(r.description)})
		case r.list != "":
			p.PrefixListIds = append(p.PrefixListIds, ec2types.PrefixListId{PrefixListId: ptr(r.list), Description: text(r.description)})
		case r.cidr.Addr().Is6():
			p.Ipv6Ranges = append(p.Ipv6Ranges, ec2types.Ipv6Range{CidrIpv6: ptr(r.cidr.String()), Description: text(r.description)})
		default:
			p.IpRanges = append(p.IpRanges, ec2types.IpRange{CidrIp: ptr(r.cidr.String()), Description: text(r.description)})
		}
	}
	return shown
}

func (c *Cloud) createSecurityGroup(in *ec2.CreateSecurityGroupInput) (*ec2.CreateSecurityGroupOutput, error) {
	switch name := *in.GroupName; {
	case in.DryRun != nil && *in.DryRun:
		return nil, dryRun
	case name == "" || strings.HasPrefix(name, "sg-") || !groupText.MatchString(name):
		return nil, badValue("Invalid security group name '%s': up to 255 characters of a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{}!$*, not beginning with sg-", name)
	case *in.Description == "" || !groupText.MatchString(*in.Description):
		return nil, badValue("Invalid security group description '%s': up to 255 characters of a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{}!$*", *in.Description)
	case in.VpcId == nil:
		return nil, refuse("VPCIdNotSpecified", "No default VPC for this user")
	case c.vpcs[*in.VpcId] == nil:
		return nil, refuse("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", *in.VpcId)
	}
	tags, err := c.specifiedTags(in.TagSpecifications, "security-group")
	if err != nil {
		return nil, err
	}
	if len(in.TagSpecifications) > 0 { // without, the policy lets anybody make one
		if err := c.permitted(ec2Service, "CreateTags", tags); err != nil {
			return nil, err
		}
	}
	for _, g := range c.groups {
		if g.vpc == *in.VpcId && g.name == *in.GroupName {
			return nil, refuse("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", g.name, g.vpc)
		}
	}
	if len(c.groups) >= c.options.Limits.SecurityGroups {
		return nil, refuse("SecurityGroupLimitExceeded", "The maximum number of security groups has been reached.")
	}
	g := &securityGroup{id: c.id("sg"), name: *in.GroupName, description: *in.Description, vpc: *in.VpcId, tags: tags}
	c.groups[g.id] = g
	c.setTags(c.groupARN(g.id), tags)
	return &ec2.CreateSecurityGroupOutput{GroupId: &g.id, SecurityGroupArn: ptr(c.groupARN(g.id)), Tags: ec2Tags(tags)}, nil
}

// specifiedTags are those that something is created with.
func (c *Cloud) specifiedTags(specifications []ec2types.TagSpecification, of ec2types.ResourceType) (map[string]string, error) {
	var all []ec2types.Tag
	for _, s := range specifications {
		if s.ResourceType != of {
			return nil, badValue("Value (%s) for parameter TagSpecification.ResourceType is invalid: it is %s", s.ResourceType, of)
		}
		all = append(all, s.Tags...)
	}
	return c.ec2Tags(nil, all)
}

// ec2Tags returns had and the new ones, or refuses these in EC2's words.
func (c *Cloud) ec2Tags(had map[string]string, tags []ec2types.Tag) (map[string]string, error) {
	checked, err := checkTags(fromEC2(tags))
	if err != nil {
		return nil, badValue("%s", err.(*apiError).message)
	}
	all := map[string]string{}
	maps.Copy(all, had)
	maps.Copy(all, checked)
	if most := c.options.Limits.Tags; len(all) > most {
		return nil, refuse("TagLimitExceeded", "The maximum number of Tags for a resource has been reached: %d", most)
	}
	return all, nil
}

func (c *Cloud) group(id string) (*securityGroup, error) { return c.groupList().one(id) }

func (c *Cloud) deleteSecurityGroup(in *ec2.DeleteSecurityGroupInput) (*ec2.DeleteSecurityGroupOutput, error) {
	g, err := c.group(*in.GroupId)
	if err != nil {
		return nil, err
	}
	if err := c.permitted(ec2Service, "DeleteSecurityGroup", g.tags); err != nil {
		return nil, err
	}
	if g.name == "default" {
		return nil, refuse("CannotDelete", "the specified group: \"%s\" name: \"default\" cannot be deleted by a user", g.id)
	}
	if c.inUse(g.id) {
		return nil, refuse("DependencyViolation", "resource %s has a dependent object", g.id)
	}
	delete(c.groups, g.id)
	c.setTags(c.groupARN(g.id), nil)
	return &ec2.DeleteSecurityGroupOutput{GroupId: &g.id, Return: ptr(true)}, nil
}

// inUse says whether a network interface has the group, or a rule of another
// group names it.
func (c *Cloud) inUse(id string) bool {
	for _, ni := range c.allInterfaces() {
		if slices.Contains(ni.groups, id) {
			return true
		}
	}
	for _, other := range c.groups {
		if other.id != id && slices.ContainsFunc(other.rules, func(r rule) bool { return r.group == id }) {
			return true
		}
	}
	return false
}

// authorizeSecurityGroupIngress takes all rules or none.
func (c *Cloud) authorizeSecurityGroupIngress(in *ec2.AuthorizeSecurityGroupIngressInput) (*ec2.AuthorizeSecurityGroupIngressOutput, error) {
	if err := onlyPermissions(in.CidrIp, in.IpProtocol, in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId, in.FromPort, in.ToPort, in.GroupName); err != nil {
		return nil, err
	}
	g, err := c.group(*in.GroupId)
	if err != nil {
		return nil, err
	}
	if len(in.TagSpecifications) > 0 {
		return nil, badValue("Tags of security group rules are not kept here")
	}
	added, err := c.rulesOf(g, in.IpPermissions)
	if err != nil {
		return nil, err
	}
	rules := slices.Clone(g.rules)
	for _, r := range added {
		if slices.ContainsFunc(rules, func(has rule) bool { return has.source == r.source }) {
			return nil, refuse("InvalidPermission.Duplicate", "the specified rule \"%s\" already exists", r.source)
		}
		r.id = c.id("sgr")
		rules = append(rules, r)
	}
	if err := c.checkRules(rules); err != nil {
		return nil, err
	}
	out := &ec2.AuthorizeSecurityGroupIngressOutput{Return: ptr(true)}
	for _, r := range rules[len(g.rules):] {
		out.SecurityGroupRules = append(out.SecurityGroupRules, c.showRule(g, r))
	}
	g.rules = rules
	return out, nil
}

// onlyPermissions refuses the older way to say what a rule is.
func onlyPermissions(given ...any) error {
	for _, p := range given {
		switch p := p.(type) {
		case *string:
			if p != nil {
				return refuse("InvalidParameterCombination", "Rules are understood here by GroupId and IpPermissions only")
			}
		case *int32:
			if p != nil {
				return refuse("InvalidParameterCombination", "Rules are understood here by GroupId and IpPermissions only")
			}
		}
	}
	return nil
}

// checkRules counts as AWS does: each family by itself, rules that name a group
// for both, and prefix lists for as many entries as they may have.
func (c *Cloud) checkRules(rules []rule) error {
	var v4, v6 int
	for _, r := range rules {
		switch {
		case r.list != "":
			v4, v6 = v4+c.prefixLists[r.list], v6+c.prefixLists[r.list]
		case r.group != "":
			v4, v6 = v4+1, v6+1
		case r.cidr.Addr().Is6():
			v6++
		default:
			v4++
		}
	}
	if max(v4, v6) > c.options.Limits.Rules {
		return refuse("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
	}
	return nil
}

func (c *Cloud) showRule(g *securityGroup, r rule) ec2types.SecurityGroupRule {
	shown := ec2types.SecurityGroupRule{
		SecurityGroupRuleId: ptr(r.id), GroupId: &g.id, GroupOwnerId: &c.options.Account, IsEgress: ptr(false),
		IpProtocol: ptr(r.protocol), FromPort: ptr(r.from), ToPort: ptr(r.to), Description: text(r.description), PrefixListId: text(r.list),
	}
	switch {
	case r.group != "":
		shown.ReferencedGroupInfo = &ec2types.ReferencedSecurityGroup{GroupId: ptr(r.group), UserId: &c.options.Account}
	case r.cidr.IsValid() && r.cidr.Addr().Is6():
		shown.CidrIpv6 = ptr(r.cidr.String())
	case r.cidr.IsValid():
		shown.CidrIpv4 = ptr(r.cidr.String())
	}
	return shown
}

// revokeSecurityGroupIngress takes all of the rules away or, where one is not
// there, none. Descriptions need not be the same.
func (c *Cloud) revokeSecurityGroupIngress(in *ec2.RevokeSecurityGroupIngressInput) (*ec2.RevokeSecurityGroupIngressOutput, error) {
	if err := onlyPermissions(in.CidrIp, in.IpProtocol, in.SourceSecurityGroupName, in.SourceSecurityGroupOwnerId, in.FromPort, in.ToPort, in.GroupName); err != nil {
		return nil, err
	}
	g, err := c.group(*in.GroupId)
	if err != nil {
		return nil, err
	}
	if len(in.SecurityGroupRuleIds) > 0 {
		return nil, badValue("Rules are understood here by IpPermissions only")
	}
	removed, err := c.rulesOf(nil, in.IpPermissions)
	if err != nil {
		return nil, err
	}
	rules := slices.Clone(g.rules)
	out := &ec2.RevokeSecurityGroupIngressOutput{Return: ptr(true)}
	for _, r := range removed {
		i := slices.IndexFunc(rules, func(has rule) bool { return has.source == r.source })
		if i < 0 {
			return nil, refuse("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
		}
		out.RevokedSecurityGroupRules = append(out.RevokedSecurityGroupRules, ec2types.RevokedSecurityGroupRule{SecurityGroupRuleId: ptr(rules[i].id), GroupId: &g.id, IsEgress: ptr(false)})
		rules = slices.Delete(rules, i, i+1)
	}
	g.rules = rules
	return out, nil
}

// rulesOf takes permissions apart; to is the group that gets them, nil where they
// are taken away.
func (c *Cloud) rulesOf(to *securityGroup, permissions []ec2types.IpPermission) ([]rule, error) {
	var rules []rule
	for _, p := range permissions {
		base, err := portsOf(p)
		if err != nil {
			return nil, err
		}
		sources, err := c.sourcesOf(to, p)
		if err != nil {
			return nil, err
		}
		if len(sources) == 0 {
			return nil, refuse("MissingParameter", "The request must contain a source for each of IpPermissions")
		}
		for _, r := range sources {
			if !groupText.MatchString(r.description) {
				return nil, badValue("Invalid rule description '%s': up to 255 characters of a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{}!$*", r.description)
			}
			r.protocol, r.from, r.to = base.protocol, base.from, base.to
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// sourcesOf are the rules of a permission, without protocol and ports.
func (c *Cloud) sourcesOf(to *securityGroup, p ec2types.IpPermission) ([]rule, error) {
	var rules []rule
	add := func(s source, description *string, err error) error {
		rules = append(rules, rule{source: s, description: str(description)})
		return err
	}
	for _, r := range p.IpRanges {
		cidr, err := cidrOf(str(r.CidrIp), false)
		if err := add(source{cidr: cidr}, r.Description, err); err != nil {
			return nil, err
		}
	}
	for _, r := range p.Ipv6Ranges {
		cidr, err := cidrOf(str(r.CidrIpv6), true)
		if err := add(source{cidr: cidr}, r.Description, err); err != nil {
			return nil, err
		}
	}
	for _, l := range p.PrefixListIds {
		if err := add(source{list: str(l.PrefixListId)}, l.Description, c.checkList(to, str(l.PrefixListId))); err != nil {
			return nil, err
		}
	}
	for _, pair := range p.UserIdGroupPairs {
		if err := add(source{group: str(pair.GroupId)}, pair.Description, c.checkPair(to, pair)); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

func (c *Cloud) checkList(to *securityGroup, id string) error {
	if _, ok := c.prefixLists[id]; !ok && to != nil {
		return refuse("InvalidPrefixListID.NotFound", "The prefix list ID '%s' does not exist", id)
	}
	return nil
}

func (c *Cloud) checkPair(to *securityGroup, pair ec2types.UserIdGroupPair) error {
	if pair.GroupName != nil || pair.VpcPeeringConnectionId != nil || pair.UserId != nil && *pair.UserId != c.options.Account {
		return badValue("Groups of other accounts or VPCs, or by name, are not understood here")
	}
	if to == nil {
		return nil
	}
	g, err := c.group(str(pair.GroupId))
	if err == nil && g.vpc != to.vpc {
		err = refuse("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
	}
	return err
}

// portsOf checks protocol and ports, or type and code, of a permission.
func portsOf(p ec2types.IpPermission) (source, error) {
	s := source{protocol: strings.ToLower(str(p.IpProtocol)), from: -1, to: -1}
	if number, ok := map[string]string{"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}[s.protocol]; ok {
		s.protocol = number
	}
	if s.protocol == "-1" {
		return s, nil
	}
	if p.FromPort == nil || p.ToPort == nil {
		return s, refuse("MissingParameter", "The request must contain FromPort and ToPort for the protocol %s", s.protocol)
	}
	s.from, s.to = *p.FromPort, *p.ToPort
	switch s.protocol {
	case "tcp", "udp":
		if s.from < 0 || s.to > 65535 || s.from > s.to {
			return s, badValue("Invalid TCP or UDP port range: %d to %d", s.from, s.to)
		}
	case "icmp", "icmpv6":
		if s.from < -1 || s.from > 255 || s.to < -1 || s.to > 255 || s.from == -1 && s.to != -1 {
			return s, badValue("ICMP code (%d) or type (%d) is invalid", s.to, s.from)
		}
	default:
		return s, badValue("Invalid value '%s' for IP protocol. Unknown protocol.", s.protocol)
	}
	return s, nil
}

// cidrOf returns the canonical form.
func cidrOf(s string, v6 bool) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is6() != v6 {
		return netip.Prefix{}, badValue("CIDR block %s is malformed", s)
	}
	return p.Masked(), nil
}

// String is how EC2 words a rule.
func (s source) String() string {
	peer := s.group + s.list
	if s.cidr.IsValid() {
		peer = s.cidr.String()
	}
	return fmt.Sprintf("peer: %s, %s, from port: %d, to port: %d, ALLOW", peer, strings.ToUpper(s.protocol), s.from, s.to)
}

// createTags and deleteTags are those of EC2; only security groups are tagged
// here.
func (c *Cloud) createTags(in *ec2.CreateTagsInput) (*ec2.CreateTagsOutput, error) {
	groups, err := c.taggedGroups(in.Resources)
	if err != nil {
		return nil, err
	}
	changed := make([]map[string]string, len(groups))
	for i, g := range groups {
		if err := c.retagsGroup("CreateTags", g, in.Tags); err != nil {
			return nil, err
		}
		if changed[i], err = c.ec2Tags(g.tags, in.Tags); err != nil {
			return nil, err
		}
	}
	for i, g := range groups {
		g.tags = changed[i]
		c.setTags(c.groupARN(g.id), g.tags)
	}
	return &ec2.CreateTagsOutput{}, nil
}

func (c *Cloud) taggedGroups(ids []string) ([]*securityGroup, error) {
	var groups []*securityGroup
	for _, id := range ids {
		if !strings.HasPrefix(id, "sg-") {
			return nil, refuse("InvalidID", "The ID '%s' is not valid: security groups are all that is tagged here", id)
		}
		g, err := c.group(id)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

func (c *Cloud) retagsGroup(action string, g *securityGroup, tags []ec2types.Tag) error {
	touches := slices.ContainsFunc(tags, func(t ec2types.Tag) bool { return str(t.Key) == c.options.ClusterTag })
	if c.options.ClusterTag != "" && touches && !c.root {
		return c.notAuthorized(dialects[ec2Service], ec2Service+":"+action)
	}
	return c.permitted(ec2Service, action, g.tags)
}

// deleteTags removes tags by key and, where one is said, value.
func (c *Cloud) deleteTags(in *ec2.DeleteTagsInput) (*ec2.DeleteTagsOutput, error) {
	groups, err := c.taggedGroups(in.Resources)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if err := c.retagsGroup("DeleteTags", g, in.Tags); err != nil {
			return nil, err
		}
	}
	for _, g := range groups {
		tags := maps.Clone(g.tags)
		for _, t := range in.Tags {
			if t.Value == nil || tags[str(t.Key)] == *t.Value {
				delete(tags, str(t.Key))
			}
		}
		g.tags = tags
		c.setTags(c.groupARN(g.id), tags)
	}
	return &ec2.DeleteTagsOutput{}, nil
}
