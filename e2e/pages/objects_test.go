//go:build linux

package pages

// objects are what users of MetalLB have, with about every field that there is,
// and what its programs leave beside that.
const objects = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: segment, namespace: metallb-system, labels: {tier: public}}
spec:
  addresses: [172.30.0.200-172.30.0.230, "fd00:30::200/120"]
  avoidBuggyIPs: true
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: named, namespace: metallb-system}
spec:
  addresses: [198.51.100.0/28]
  autoAssign: false
  serviceAllocation:
    priority: 50
    namespaces: [default]
    namespaceSelectors: [{matchLabels: {team: shop}}]
    serviceSelectors: [{matchExpressions: [{key: exposure, operator: In, values: [public]}]}]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: segment, namespace: metallb-system}
spec:
  ipAddressPools: [segment]
  ipAddressPoolSelectors: [{matchLabels: {tier: public}}]
  interfaces: [eth0]
  nodeSelectors: [{matchLabels: {kubernetes.io/os: linux}}]
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: routed, namespace: metallb-system}
spec:
  ipAddressPools: [named]
  aggregationLength: 32
  aggregationLengthV6: 128
  localPref: 100
  communities: [no-export-here, "64500:7"]
  peers: [tor]
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: known, namespace: metallb-system}
spec: {communities: [{name: no-export-here, value: "65535:65281"}]}
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: fast, namespace: metallb-system}
spec: {receiveInterval: 300, transmitInterval: 300, detectMultiplier: 3, echoMode: false, passiveMode: false, minimumTtl: 254}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor, namespace: metallb-system}
spec:
  myASN: 64500
  peerASN: 64513
  peerAddress: 172.30.0.1
  peerPort: 179
  holdTime: 90s
  keepaliveTime: 30s
  bfdProfile: fast
  ebgpMultiHop: false
  passwordSecret: {name: tor-password, namespace: metallb-system}
  nodeSelectors: [{matchLabels: {rack: a}}]
---
apiVersion: v1
kind: Secret
metadata: {name: tor-password, namespace: metallb-system}
type: kubernetes.io/basic-auth
stringData: {password: secret}
---
apiVersion: v1
kind: Secret
metadata: {name: metallb-memberlist, namespace: metallb-system}
stringData: {secretkey: abc}
---
apiVersion: metallb.io/v1beta1
kind: ServiceL2Status
metadata:
  name: l2-x7k2p
  namespace: metallb-system
  labels: {metallb.io/node: node1, metallb.io/service-name: web, metallb.io/service-namespace: default}
status: {node: node1, serviceName: web, serviceNamespace: default}
---
apiVersion: metallb.io/v1beta1
kind: ConfigurationState
metadata:
  name: speaker-node1
  namespace: metallb-system
  labels: {metallb.io/component-type: speaker, metallb.io/node-name: node1}
status: {result: Valid}
`

// given is a Service as MetalLB serves it.
type given struct {
	name        string
	annotations map[string]string
	labels      map[string]string
	addresses   []string
	dual, old   bool // old: a status without ipMode, as MetalLB before 0.15 wrote it
	port        int32
	field       string // spec.loadBalancerIP
}

const from = "metallb.io/ip-allocated-from-pool"

var services = []given{
	{name: "web", addresses: []string{"172.30.0.217", "fd00:30::217"}, dual: true, annotations: map[string]string{from: "segment"}},
	{name: "plain", addresses: []string{"172.30.0.203"}, annotations: map[string]string{from: "segment"}},
	{name: "old-prefix", addresses: []string{"172.30.0.211"}, old: true, annotations: map[string]string{
		"metallb.universe.tf/ip-allocated-from-pool": "segment", "metallb.universe.tf/loadBalancerIPs": "172.30.0.211"}},
	{name: "by-field", addresses: []string{"172.30.0.222"}, field: "172.30.0.222", old: true, annotations: map[string]string{from: "segment"}},
	{name: "named", addresses: []string{"198.51.100.9"}, labels: map[string]string{"exposure": "public"},
		annotations: map[string]string{from: "named", "metallb.io/address-pool": "named"}},
	{name: "shares-1", addresses: []string{"172.30.0.230"}, port: 8001, annotations: map[string]string{from: "segment", "metallb.io/allow-shared-ip": "k"}},
	{name: "shares-2", addresses: []string{"172.30.0.230"}, port: 8002, annotations: map[string]string{from: "segment", "metallb.universe.tf/allow-shared-ip": "k"}},
}
