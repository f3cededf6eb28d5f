package main

import (
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/ptr"
)

// No message repeats a password.
var peerAsks = []ask{
	{field: "spec", rules: []apiextensions.ValidationRule{
		{
			Rule:    peerASN + ` != ` + dynamicASN,
			Message: "allowed is exactly one of peerASN and dynamicASN",
			MessageExpression: peerASN + ` ? 'peerASN and dynamicASN are both set: allowed is only one of them' : ` +
				`'neither peerASN nor dynamicASN is set: allowed is exactly one of them, such as peerASN 64512 or dynamicASN external'`,
		},
		{
			Rule:    given("peerAddress") + ` != ` + given("interface"),
			Message: "allowed is exactly one of peerAddress and interface",
			MessageExpression: given("peerAddress") + ` ? 'peerAddress is ' + self.peerAddress + ' and interface is ' + self.interface + ` +
				`': allowed is only one of them' : 'neither peerAddress nor interface is set: allowed is exactly one of them, ` +
				`such as peerAddress 192.0.2.1'`,
		},
		{
			Rule:    `!` + given("password") + ` || !has(self.passwordSecret) || !has(self.passwordSecret.name) || self.passwordSecret.name == ''`,
			Message: "password and passwordSecret are both set: allowed is only one of them",
		},
		{
			// With localASN it is that number which this end has.
			Rule: `!has(self.ebgpMultiHop) || !self.ebgpMultiHop || ` + localASN + ` || !has(self.peerASN) || self.peerASN != self.myASN`,
			Message: "ebgpMultiHop is true, and peerASN is equal to myASN: allowed is ebgpMultiHop for a router with another AS number; " +
				"one with the same needs none",
		},
		{
			Rule:    `!has(self.holdTime) || !has(self.keepaliveTime) || duration(self.keepaliveTime) <= duration(self.holdTime)`,
			Message: "keepaliveTime has to be at most holdTime",
			MessageExpression: `'keepaliveTime is ' + self.keepaliveTime + ' and holdTime is ' + self.holdTime + ': allowed is a keepaliveTime ` +
				`of at most holdTime, and a third of it is usual'`,
		},
	}},
	{field: "spec.myASN", rules: []apiextensions.ValidationRule{{
		Rule: `self != 0`, Message: "0 is no AS number: allowed are 1 to 4294967295",
	}}},
	// MetalLB cuts fractions of a second off first.
	{field: "spec.holdTime", maxLength: ptr.To[int64](maxDurationLength), rules: []apiextensions.ValidationRule{{
		Rule:              `duration(self).getSeconds() == 0 || duration(self).getSeconds() >= 3`,
		Message:           "allowed are 0s, for no keepalives at all, and 3s or more",
		MessageExpression: `self + ' is too short: allowed are 0s, for no keepalives at all, and 3s or more'`,
	}}},
	{field: "spec.keepaliveTime", maxLength: ptr.To[int64](maxDurationLength)},
	{field: "spec.interface", maxLength: ptr.To[int64](maxInterfaceLength)},
	{field: "spec.peerAddress", maxLength: ptr.To[int64](maxAddressLength), rules: []apiextensions.ValidationRule{mayBeAddress}},
	{field: "spec.sourceAddress", maxLength: ptr.To[int64](maxAddressLength), rules: []apiextensions.ValidationRule{mayBeAddress}},
	{field: "spec.routerID", maxLength: ptr.To[int64](maxAddressLength), rules: []apiextensions.ValidationRule{mayBeAddress}},
	// Here a change only starts the session anew.
	{field: "spec.enableGracefulRestart", mayChange: true},
}

// given says whether a text is there and not empty.
func given(field string) string { return `(has(self.` + field + `) && self.` + field + ` != '')` }

const (
	peerASN    = `(has(self.peerASN) && self.peerASN != 0)`
	localASN   = `(has(self.localASN) && self.localASN != 0)`
	dynamicASN = `(has(self.dynamicASN) && self.dynamicASN != '')`
)

// mayBeAddress takes what Go's net package takes, and nothing at all.
var mayBeAddress = apiextensions.ValidationRule{
	Rule:              `self == '' || isIP(self` + unmapped + `)`,
	Message:           "allowed is an IP address such as 192.0.2.1 or 2001:db8::1",
	MessageExpression: `'"' + self + '" is not an IP address: allowed is one such as 192.0.2.1 or 2001:db8::1'`,
}

var advertisementAsks = []ask{
	{field: "spec.aggregationLength", maximum: ptr.To[float64](32)},
	// MetalLB takes 0 and less for pools without IPv6, where they mean nothing.
	{field: "spec.aggregationLengthV6", maximum: ptr.To[float64](128)},
	{field: "spec.communities", maxItems: ptr.To[int64](maxCommunities)},
	// What has no colon is the name of an alias, which a Community may bring later.
	{field: "spec.communities[]", maxLength: ptr.To[int64](maxCommunityLength), rules: []apiextensions.ValidationRule{{
		Rule:              `!self.contains(':') || ` + isCommunity("self"),
		Message:           "allowed are " + communityForms + ", and the name of an alias in a Community",
		MessageExpression: `'"' + self + '" is not a community: allowed are ` + communityForms + `, and the name of an alias in a Community'`,
	}}},
}

var communityAsks = []ask{
	{field: "spec.communities", maxItems: ptr.To[int64](maxCommunities)},
	{field: "spec.communities[].value", maxLength: ptr.To[int64](maxCommunityLength)},
	{field: "spec.communities[]", rules: []apiextensions.ValidationRule{{
		Rule:    `has(self.value) && ` + isCommunity("self.value"),
		Message: "value: allowed are " + communityForms,
		MessageExpression: `has(self.value) ? 'value: "' + self.value + '" is not a community: allowed are ` + communityForms +
			`' : 'value is missing: allowed are ` + communityForms + `'`,
	}}},
}

// The API server wants bounds here too; see those of addresses. More communities than these fit into no BGP message
// of 4096 octets (RFC 4271 section 4.1), and the longest one that is no alias takes 38 characters.
// No interface has a name, or another name, of more than 127 characters.
const (
	maxCommunities     = 1024
	maxCommunityLength = 128
	maxDurationLength  = 64
	maxInterfaceLength = 128
)

const communityForms = "two numbers up to 65535 such as 64512:100, large and three numbers up to 4294967295 such as large:64512:1:2"

// isCommunity says that field is a community of RFC 1997 or RFC 8092. Zeros before a number are taken, as there.
func isCommunity(field string) string {
	return field + `.matches('^(` + upTo16Bits + `:` + upTo16Bits + `|large:` + upTo32Bits + `:` + upTo32Bits + `:` + upTo32Bits + `)$')`
}

const (
	upTo16Bits = `0*([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	upTo32Bits = `0*([0-9]{1,9}|[1-3][0-9]{9}|4[01][0-9]{8}|42[0-8][0-9]{7}|429[0-3][0-9]{6}|4294[0-8][0-9]{5}|42949[0-5][0-9]{4}|` +
		`429496[0-6][0-9]{3}|4294967[01][0-9]{2}|42949672[0-8][0-9]|429496729[0-5])`
)
