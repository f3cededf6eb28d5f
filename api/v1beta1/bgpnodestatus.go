// Package v1beta1 holds the kinds of this project's own in the Kubernetes API,
// group berth-lb.dev: what users and the other processes are told that no kind
// of MetalLB's has room for.
// +groupName=berth-lb.dev
package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPNodeStatus is what the BGP sessions of one node are like, written by the
// speaker there. It has the name of the node, which owns it, and is in the
// namespace of the installation. A node that no BGPPeer selects has none.
//
// There is no status subresource: the object is nothing but a report, and is
// made and changed by one write.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=bgpns
// +kubebuilder:printcolumn:name="Up",type=string,JSONPath=`.status.up`,description="Sessions that are established, of all that the node is to have"
// +kubebuilder:printcolumn:name="Prefixes",type=integer,JSONPath=`.status.prefixes`,description="Prefixes that the node announces"
// +kubebuilder:printcolumn:name="Trouble",type=string,JSONPath=`.status.trouble`,description="What is wrong with the first session that is not established or lacks a family"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BGPNodeStatus struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Status is the report.
	// +optional
	Status BGPNodeReport `json:"status,omitzero"`
}

// BGPNodeReport is the state of all sessions of a node.
type BGPNodeReport struct {
	// Node is the name of the node.
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`
	// Up is how many sessions are established, of how many, such as 2/3.
	// +kubebuilder:validation:MaxLength=32
	Up string `json:"up"`
	// Prefixes is how many prefixes the node announces, to whichever routers.
	// +kubebuilder:validation:Minimum=0
	Prefixes int32 `json:"prefixes"`
	// Trouble is what is wrong with the first session that is not established or
	// lacks a family, in short. It is absent where there is none.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Trouble string `json:"trouble,omitempty"`
	// Sessions are sorted by peer. Where a node has more than there is room for,
	// those that are not established are left out first; Up counts them all.
	// +listType=map
	// +listMapKey=peer
	// +kubebuilder:validation:MaxItems=256
	// +optional
	Sessions []BGPSession `json:"sessions,omitempty"`
}

// BGPSession is the state of one session.
type BGPSession struct {
	// Peer is the name of the BGPPeer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Peer string `json:"peer"`
	// Address is where the router is. It is absent while the router on an
	// interface has not been found.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Address string `json:"address,omitempty"`
	// State is that of the session by RFC 4271 section 8.2.2.
	State SessionState `json:"state"`
	// Since is when the session became established, or stopped being it.
	// +optional
	Since metav1.Time `json:"since,omitzero"`
	// Lacks are the families of prefixes that the BGPPeer asks for and the session
	// does not carry, though it is established.
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	// +optional
	Lacks []Family `json:"lacks,omitempty"`
	// Error is why the session is not established, lacks a family, or was lost last.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Error string `json:"error,omitempty"`
	// Prefixes is how many prefixes the router has been told of.
	// +kubebuilder:validation:Minimum=0
	Prefixes int32 `json:"prefixes"`
	// BFD is the state of the BFD session with the router by RFC 5880 section
	// 6.2. It is absent where there is none.
	// +kubebuilder:validation:MaxLength=16
	// +optional
	BFD string `json:"bfd,omitempty"`
}

// SessionState is a state of the finite state machine of RFC 4271.
// +kubebuilder:validation:Enum=Idle;Connect;Active;OpenSent;OpenConfirm;Established
type SessionState string

// Established is the state in which routes are exchanged.
const Established SessionState = "Established"

// Family is one of addresses.
// +kubebuilder:validation:Enum=IPv4;IPv6
type Family string

// The families of addresses.
const (
	IPv4 Family = "IPv4"
	IPv6 Family = "IPv6"
)

// BGPNodeStatusList is how the API lists them.
// +kubebuilder:object:root=true
type BGPNodeStatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BGPNodeStatus `json:"items"`
}
