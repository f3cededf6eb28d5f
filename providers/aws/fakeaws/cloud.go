// Package fakeaws is an AWS account in memory that speaks the wire protocols of
// Elastic Load Balancing, EC2, resource tagging and STS to the unmodified SDK,
// and is as strict as AWS about what it is told.
package fakeaws

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http/httptest"
	"sync"
	"time"
)

// Cloud is an account in one Region: what is in there, and its APIs. It is an
// http.Handler at whose address all services answer, as with AWS_ENDPOINT_URL.
// What depends on time is worked out from the clock when somebody looks.
type Cloud struct {
	options Options

	mu     sync.Mutex
	onCall func(Call)
	calls  []Call
	faults []*armed
	storms []storm
	denied map[string]bool
	root   bool // no policy holds for the call that is under way
	levels map[string]*level

	numbers       map[string]int
	vpcs          map[string]*vpc
	subnets       map[string]*subnet
	routeTables   map[string]*routeTable
	groups        map[string]*securityGroup
	prefixLists   map[string]int // how many entries each may have
	instances     map[string]*instance
	interfaces    map[string]*networkInterface
	addresses     map[string]bool
	certificates  map[string]bool
	loadBalancers map[string]*loadBalancer
	targetGroups  map[string]*targetGroup
	listeners     map[string]*listener
	remains       []remains
	tagged        map[string][]tagVersion // by ARN, oldest first
	health        func(Target) Health
	failing       bool
}

// New returns an empty account.
func New(options Options) *Cloud {
	options.Region = cmp.Or(options.Region, "eu-west-1")
	options.Account = cmp.Or(options.Account, "123456789012")
	options.Limits = options.Limits.orAWS()
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Cloud{
		options:       options,
		onCall:        func(Call) {},
		denied:        map[string]bool{},
		levels:        map[string]*level{},
		numbers:       map[string]int{},
		vpcs:          map[string]*vpc{},
		subnets:       map[string]*subnet{},
		routeTables:   map[string]*routeTable{},
		groups:        map[string]*securityGroup{},
		prefixLists:   map[string]int{},
		instances:     map[string]*instance{},
		interfaces:    map[string]*networkInterface{},
		addresses:     map[string]bool{},
		certificates:  map[string]bool{},
		loadBalancers: map[string]*loadBalancer{},
		targetGroups:  map[string]*targetGroup{},
		listeners:     map[string]*listener{},
		tagged:        map[string][]tagVersion{},
		health:        func(Target) Health { return Healthy },
	}
}

// Start serves c until ctx ends, and returns the URL.
func (c *Cloud) Start(ctx context.Context) string {
	server := httptest.NewServer(c)
	context.AfterFunc(ctx, server.Close)
	return server.URL
}

func (c *Cloud) now() time.Time { return c.options.Now() }

// number returns an ID of hexadecimal digits that no other of its kind has. The
// IDs of two clouds that are told the same are the same.
func (c *Cloud) number(kind string, digits int) string {
	c.numbers[kind]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", kind, c.numbers[kind]))
	return hex.EncodeToString(sum[:])[:digits]
}

// id returns an ID as EC2 has them.
func (c *Cloud) id(prefix string) string { return prefix + "-0" + c.number(prefix, 16) }

func (c *Cloud) arn(service, resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, c.options.Region, c.options.Account, resource)
}

// principal is who calls.
func (c *Cloud) principal() string {
	return fmt.Sprintf("arn:aws:sts::%s:assumed-role/berth/controller", c.options.Account)
}
