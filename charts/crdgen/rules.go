package main

import (
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/ptr"
)

// kind is one CRD: where its type is, and what is asked of an object beyond what the type says.
type kind struct {
	from    origin
	name    string
	version string // the one that is served and stored
	// older are versions that are served with the schema of version: with the same fields under the same names, an
	// object is one of any of them without a conversion.
	older []string
	asks  []ask
}

// ask is what one field has to satisfy.
type ask struct {
	// field is the way to it from the object: names joined by dots, [] after a list for its entries. Empty is the
	// object itself.
	field string

	minItems, maxItems   *int64
	minLength, maxLength *int64
	minimum, maximum     *float64
	rules                []apiextensions.ValidationRule

	// mayChange drops the rule of the type by which the field keeps its first value.
	mayChange bool
}

// kinds is the table. A rule may refuse only what MetalLB refuses too, or what the compatibility notes call
// invalid: an object that works there has to work here unedited. To drop a rule of MetalLB's breaks nothing. What one
// object alone does not show, and what CEL can't say, is refused by the controller and the speakers, and named in
// ConfigurationState.
var kinds = []kind{
	{from: metallb, name: "ConfigurationState", version: "v1beta1"},
	{from: metallb, name: "L2Advertisement", version: "v1beta1"},
	// Here a record stays when the address moves to another node, so that one write moves it; MetalLB makes a new one
	// for each node, which works as before.
	{from: metallb, name: "ServiceL2Status", version: "v1beta1", asks: []ask{{field: "status.node", mayChange: true}}},
	{from: metallb, name: "IPAddressPool", version: "v1beta1", asks: poolAsks},
	{from: metallb, name: "BGPAdvertisement", version: "v1beta1", asks: advertisementAsks},
	// MetalLB converts v1beta1 by a webhook, and none shall be able to stand in the way here. All its fields are in
	// v1beta2 too.
	{from: metallb, name: "BGPPeer", version: "v1beta2", older: []string{"v1beta1"}, asks: peerAsks},
	{from: metallb, name: "BFDProfile", version: "v1beta1"},
	{from: metallb, name: "Community", version: "v1beta1", asks: communityAsks},
	{from: metallb, name: "ServiceBGPStatus", version: "v1beta1"},
	{from: berth, name: "BGPNodeStatus", version: "v1beta1"},
}

var poolAsks = []ask{
	{field: "spec.addresses", minItems: ptr.To[int64](1), maxItems: ptr.To[int64](maxAddresses)},
	{field: "spec.addresses[]", maxLength: ptr.To[int64](maxAddressLength), rules: []apiextensions.ValidationRule{
		{
			Rule:              `self.contains('-') || ` + isPrefix,
			Message:           "allowed are a CIDR such as 192.0.2.0/24, and first-last such as 192.0.2.10-192.0.2.20",
			MessageExpression: notPrefix,
		},
		{
			Rule:              `!self.contains('-') || ` + isFirst + ` && ` + isLast,
			Message:           "allowed are two addresses joined by one dash, such as 192.0.2.10-192.0.2.20",
			MessageExpression: notRange,
		},
		{
			Rule:              `!self.contains('-') || !` + isFirst + ` || !` + isLast + ` || ` + isOneFamily,
			Message:           "allowed are two addresses of one family",
			MessageExpression: notOneFamily,
		},
	}},
}

// The API server estimates what a rule may cost from the bounds of what it reads, and refuses one without bounds, so
// addresses need some that MetalLB has not; these use two thirds of what it grants one rule. The longest way to
// write a range, two uncompressed IPv6 addresses with an IPv4 address at their ends, takes 91 characters; the rest
// is room for blanks.
const (
	maxAddresses     = 4096
	maxAddressLength = 128
)

// MetalLB reads addresses with Go's net package, which takes two spellings that CEL's functions refuse.
//
// An IPv4 address in IPv6 clothes (::ffff:192.0.2.1, which counts as IPv4): CEL refuses it for its value alone, so
// the text is tried with another value in the place of ffff, which changes nothing else about it.
//
// Zeros before a prefix length (192.0.2.0/024): the length is tried without them.
//
// Bits after the prefix (192.0.2.1/24) are taken by both. Blanks are taken around the ends of a range, as there,
// and not in a CIDR, as there.
//
// The text is cut with substring, never with split: the API server knows no bound of what split returns, and
// refuses the rule for its cost.
const (
	unmapped = `.lowerAscii().replace('ffff', 'fffe')`

	isPrefix = `self.matches('^[^/]+/[0-9]+$') && isCIDR(self.substring(0, self.indexOf('/') + 1)` + unmapped +
		` + self.find('(0|[1-9][0-9]*)$'))`

	first = `self.substring(0, self.indexOf('-')).trim()`
	last  = `self.substring(self.indexOf('-') + 1).trim()`

	isFirst = `isIP(` + first + unmapped + `)`
	isLast  = `isIP(` + last + unmapped + `)`

	// Both ends are known to be addresses here, so one that isIP refuses is IPv4 in IPv6 clothes.
	isOneFamily = `(isIP(` + first + `) && ` + first + `.contains(':')) == (isIP(` + last + `) && ` + last + `.contains(':'))`

	notPrefix = `'"' + self + '" is not a range of addresses: allowed are a CIDR such as 192.0.2.0/24 or ` +
		`2001:db8::/64, and first-last such as 192.0.2.10-192.0.2.20' + ` +
		`(isIP(self) ? '; for this one address write ' + self + (self.contains(':') ? '/128' : '/32') : '')`

	notRange = `'"' + self + '" is not a range of addresses: ' + ` +
		`(` + isFirst + ` ? '' : '"' + ` + first + ` + '" is not an IP address; ') + ` +
		`(` + isLast + ` ? '' : '"' + ` + last + ` + '" is not an IP address; ') + ` +
		`'allowed are two addresses joined by one dash, such as 192.0.2.10-192.0.2.20'`

	notOneFamily = `'"' + self + '" joins an IPv4 and an IPv6 address: allowed are two addresses of one family, ` +
		`so make it an entry for each family'`
)
