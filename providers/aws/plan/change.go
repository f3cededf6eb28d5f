package plan

import "github.com/berth-lb/berth/providers/aws/annotation"

// Change is one call that changes AWS. Its String is one line for people: what
// is done to which object.
//
// What exists is named by its ARN, or the ID of a security group. A group named
// ManagedGroup, a target group named by Key and the load balancer with an empty
// ARN are those that changes before this one made. The same holds for the
// target group of a Listener and the security groups of a LoadBalancer.
type Change interface {
	String() string
	change()
}

// The changes, in the order in which Diff has them, but for targets of groups
// that are there, which come first: what is needed by others is made first, what
// is in the way of nobody goes last.
type (
	CreateSecurityGroup struct{ Group SecurityGroup } // without rules
	AuthorizeIngress    struct {
		Group string // ID or ManagedGroup
		Rules []Rule
	}
	CreateTargetGroup            struct{ TargetGroup TargetGroup }   // without targets and attributes
	CreateLoadBalancer           struct{ LoadBalancer LoadBalancer } // without listeners and attributes
	ModifyLoadBalancerAttributes struct {
		ARN        string
		Attributes map[string]string
	}
	ModifyTargetGroup struct {
		TargetGroup string // ARN
		HealthCheck HealthCheck
	}
	ModifyTargetGroupAttributes struct {
		TargetGroup string // ARN or Key, as below
		Attributes  map[string]string
	}
	SetIPAddressType struct {
		ARN  string
		Type annotation.IPAddressType
	}
	SetSubnets struct {
		ARN                string
		Subnets            []SubnetMapping
		PrefixForSourceNAT bool
		// IPAddressType is empty unless it changes together with PrefixForSourceNAT.
		IPAddressType annotation.IPAddressType
	}
	SetSecurityGroups struct {
		ARN              string
		Groups           []string
		PrivateLinkRules string
	}
	SetCapacity struct {
		ARN     string
		Minimum int32 // 0 gives the reservation back
	}
	RegisterTargets struct { // 200 at most
		TargetGroup string
		Targets     []Target
	}
	CreateListener struct {
		LoadBalancer string // ARN; empty for the one that was just made
		Listener     Listener
	}
	ModifyListener             struct{ Listener Listener }
	ModifyListenerCertificates struct {
		Listener    string // ARN, or empty with Port and Protocol for a new one
		Protocol    string
		Port        int32
		Add, Remove []string
	}
	ModifyListenerAttributes struct {
		Listener   string
		Protocol   string
		Port       int32
		Attributes map[string]string
	}
	// AddTags is for 20 ARNs at most; IDs of security groups are told apart by not
	// being ARNs.
	AddTags struct {
		Resources []string
		Tags      map[string]string
	}
	DeregisterTargets struct {
		TargetGroup string
		Targets     []Target
	}
	DeleteListener     struct{ Listener Listener }
	DeleteLoadBalancer struct{ ARN, Name string }
	DeleteTargetGroup  struct{ ARN, Name string }
	RevokeIngress      struct {
		Group string
		Rules []Rule
	}
	DeleteSecurityGroup struct{ ID, Name string }
)

func (CreateSecurityGroup) change()          {}
func (AuthorizeIngress) change()             {}
func (CreateTargetGroup) change()            {}
func (CreateLoadBalancer) change()           {}
func (ModifyLoadBalancerAttributes) change() {}
func (ModifyTargetGroup) change()            {}
func (ModifyTargetGroupAttributes) change()  {}
func (SetIPAddressType) change()             {}
func (SetSubnets) change()                   {}
func (SetSecurityGroups) change()            {}
func (SetCapacity) change()                  {}
func (RegisterTargets) change()              {}
func (CreateListener) change()               {}
func (ModifyListener) change()               {}
func (ModifyListenerCertificates) change()   {}
func (ModifyListenerAttributes) change()     {}
func (AddTags) change()                      {}
func (DeregisterTargets) change()            {}
func (DeleteListener) change()               {}
func (DeleteLoadBalancer) change()           {}
func (DeleteTargetGroup) change()            {}
func (RevokeIngress) change()                {}
func (DeleteSecurityGroup) change()          {}
