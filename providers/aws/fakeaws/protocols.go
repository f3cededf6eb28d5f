package fakeaws

import (
	"reflect"
	"strings"
)

// query is the AWS query protocol of Elastic Load Balancing and STS: members
// are called as in the model, and lists have members.
//
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
func query(service string) protocol {
	as := func(_ reflect.Type, field string) string { return field }
	return protocol{dialect: dialects[service], request: as, response: as, member: "member", element: "member"}
}

// ec2Query is the protocol of EC2, which has names of its own for most things,
// and others in requests than in answers.
//
// https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html
func ec2Query() protocol {
	return protocol{
		dialect: dialects[ec2Service],
		request: func(of reflect.Type, field string) string {
			return named(ec2Requests, of, field, singular(field))
		},
		response: func(of reflect.Type, field string) string {
			return named(ec2Answers, of, field, strings.ToLower(field[:1])+field[1:])
		},
		element: "item",
	}
}

func named(exceptions map[string]string, of reflect.Type, field, otherwise string) string {
	if name, ok := exceptions[of.Name()+"."+field]; ok {
		return name
	}
	if name, ok := exceptions[field]; ok {
		return name
	}
	return otherwise
}

// singular is how EC2 calls most lists.
func singular(field string) string {
	if field == "MaxResults" || strings.HasSuffix(field, "Ranges") {
		return field
	}
	return strings.TrimSuffix(field, "s")
}

// ec2Requests and ec2Answers are the names that follow no rule, for one type or
// for all.
var (
	ec2Requests = map[string]string{
		"CreateSecurityGroupInput.Description": "GroupDescription",
		"Resources":                            "ResourceId",
		"IpPermissions":                        "IpPermissions",
		"PrefixListIds":                        "PrefixListIds",
		"UserIdGroupPairs":                     "Groups",
		"PeeringStatus":                        "PeeringStatus",
		"IncludeManagedResources":              "IncludeManagedResources",
		"AllAvailabilityZones":                 "AllAvailabilityZones",
	}
	ec2Answers = map[string]string{
		"Tags":                      "tagSet",
		"Vpcs":                      "vpcSet",
		"Subnets":                   "subnetSet",
		"AvailabilityZones":         "availabilityZoneInfo",
		"AvailabilityZone.State":    "zoneState",
		"RouteTables":               "routeTableSet",
		"Routes":                    "routeSet",
		"Associations":              "associationSet",
		"SecurityGroup.Description": "groupDescription",
		"DescribeSecurityGroupsOutput.SecurityGroups": "securityGroupInfo",
		"SecurityGroupRules":                          "securityGroupRuleSet",
		"RevokedSecurityGroupRules":                   "revokedSecurityGroupRuleSet",
		"UnknownIpPermissions":                        "unknownIpPermissionSet",
		"ReferencedGroupInfo":                         "referencedGroupInfo",
		"UserIdGroupPairs":                            "groups",
		"Reservations":                                "reservationSet",
		"Instances":                                   "instancesSet",
		"Instance.State":                              "instanceState",
		"SecurityGroups":                              "groupSet",
		"Groups":                                      "groupSet",
		"NetworkInterfaces":                           "networkInterfaceSet",
		"PrivateIpAddresses":                          "privateIpAddressesSet",
		"Ipv6Addresses":                               "ipv6AddressesSet",
		"RouteTableAssociationId":                     "routeTableAssociationId",
	}
)
