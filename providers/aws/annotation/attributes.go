package annotation

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// kind is what AWS takes as the value of an attribute. Read returns it as AWS
// would show it.
type kind struct {
	allowed string
	read    func(string) (string, bool)
}

var (
	truth = kind{"true and false", func(v string) (string, bool) {
		b, err := strconv.ParseBool(v)
		return strconv.FormatBool(b), err == nil
	}}
	anything = kind{"any text", func(v string) (string, bool) { return v, true }}
	count    = between(1, math.MaxInt32)
	percent  = between(1, 100)
)

func between(low, high int32) kind {
	return kind{fmt.Sprintf("whole numbers from %d to %d", low, high), func(v string) (string, bool) {
		n, ok := whole(v, low, high)
		return strconv.Itoa(int(n)), ok
	}}
}

func oneOf(values ...string) kind {
	return kind{strings.Join(values, ", "), func(v string) (string, bool) { return v, slices.Contains(values, v) }}
}

// orElse takes one word more.
func (k kind) orElse(word string) kind {
	return kind{k.allowed + ", and " + word, func(v string) (string, bool) {
		if v == word {
			return v, true
		}
		return k.read(v)
	}}
}

// What AWS takes for a Network Load Balancer; see LoadBalancerAttribute,
// TargetGroupAttribute and ListenerAttribute in the API reference of Elastic
// Load Balancing. What is not here goes to AWS as it is.
var (
	loadBalancerKinds = map[string]kind{
		accessLogEnabled:                         truth,
		accessLogBucket:                          anything,
		accessLogPrefix:                          anything,
		crossZone:                                truth,
		"deletion_protection.enabled":            truth,
		"ipv6.deny_all_igw_traffic":              truth,
		"zonal_shift.config.enabled":             truth,
		"dns_record.client_routing_policy":       oneOf("availability_zone_affinity", "partial_availability_zone_affinity", "any_availability_zone"),
		"secondary_ips.auto_assigned.per_subnet": between(0, 7),
	}
	targetGroupKinds = map[string]kind{
		"deregistration_delay.timeout_seconds":                between(0, 3600),
		"deregistration_delay.connection_termination.enabled": truth,
		crossZone:            truth.orElse("use_load_balancer_configuration"),
		preserveClientIP:     truth,
		proxyProtocol:        truth,
		"stickiness.enabled": truth,
		"stickiness.type":    oneOf("source_ip"),
		"target_group_health.dns_failover.minimum_healthy_targets.count":                 count.orElse("off"),
		"target_group_health.dns_failover.minimum_healthy_targets.percentage":            percent.orElse("off"),
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count":      count,
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": percent.orElse("off"),
		unhealthyTermination: truth,
		unhealthyDraining:    between(0, 360000),
	}
	listenerKinds = map[string]kind{
		"tcp.idle_timeout.seconds": between(60, 6000),
	}
)

const (
	accessLogEnabled     = "access_logs.s3.enabled"
	accessLogBucket      = "access_logs.s3.bucket"
	accessLogPrefix      = "access_logs.s3.prefix"
	crossZone            = "load_balancing.cross_zone.enabled"
	preserveClientIP     = "preserve_client_ip.enabled"
	proxyProtocol        = "proxy_protocol_v2.enabled"
	unhealthyTermination = "target_health_state.unhealthy.connection_termination.enabled"
	unhealthyDraining    = "target_health_state.unhealthy.draining_interval_seconds"
)

func (r *reader) attributes(s *Settings) {
	s.Attributes = r.loadBalancerAttributes()
	s.MinimumCapacity = r.minimumCapacity()
	s.TargetGroupAttributes = r.targetGroupAttributes()
	s.ListenerAttributes = r.listenerAttributes(s.TLSPorts)
	s.MultiCluster = r.flag(KeyMultiCluster)
}

// attributesOf reads one annotation. Without a value an attribute is not said,
// unless it may be empty.
func (r *reader) attributesOf(key string, kinds map[string]kind) map[string]string {
	attributes := map[string]string{}
	for name, value := range inOrder(r.pairs(key)) {
		k, ok := kinds[name]
		if !ok {
			k = anything
		}
		if value == "" && k.allowed != anything.allowed {
			continue
		}
		canonical, ok := k.read(value)
		if !ok {
			r.refuse(key, name+"="+value, k.allowed)
			continue
		}
		attributes[name] = canonical
	}
	return attributes
}

func (r *reader) loadBalancerAttributes() map[string]string {
	attributes := r.attributesOf(KeyAttributes, loadBalancerKinds)
	if b := r.boolean(KeyCrossZone); b != nil {
		attributes[crossZone] = strconv.FormatBool(*b)
	}
	r.accessLog(attributes)
	if attributes[accessLogEnabled] == "true" && attributes[accessLogBucket] == "" {
		r.problem("%s: access logs need a bucket; allowed with %s=NAME, or %s beside %s", KeyAttributes, accessLogBucket, KeyAccessLogBucket, KeyAccessLog)
	}
	return attributes
}

// accessLog reads the older annotations, which win. Only false does not: it
// never was written to AWS, so that an attribute beside it is what is there.
func (r *reader) accessLog(attributes map[string]string) {
	enabled := r.boolean(KeyAccessLog)
	if enabled == nil {
		return
	}
	if !*enabled {
		if attributes[accessLogEnabled] == "" {
			attributes[accessLogEnabled] = "false"
		}
		return
	}
	attributes[accessLogEnabled] = "true"
	if bucket := r.value(KeyAccessLogBucket); bucket != "" {
		attributes[accessLogBucket] = bucket
	}
	if path := r.value(KeyAccessLogPrefix); path != "" {
		attributes[accessLogPrefix] = path
	}
}

func (r *reader) minimumCapacity() *int32 {
	const unit = "CapacityUnits"
	var capacity *int32
	for name, value := range inOrder(r.pairs(KeyMinimumCapacity)) {
		n, ok := whole(value, 0, math.MaxInt32)
		if name != unit || !ok {
			r.refuse(KeyMinimumCapacity, name+"="+value, unit+"=N, where 0 gives a reservation back")
			continue
		}
		capacity = &n
	}
	return capacity
}

// targetGroupAttributes returns for each port what was said for all ports, for
// the port, and by the annotations about the PROXY protocol, each over the one
// before.
func (r *reader) targetGroupAttributes() map[int32]map[string]string {
	all := r.attributesOf(KeyTargetGroupAttributes, targetGroupKinds)
	own := r.ownAttributes()
	everywhere, onPorts := r.proxyProtocol()
	byPort := map[int32]map[string]string{}
	for _, n := range r.portNumbers() {
		attributes := map[string]string{proxyProtocol: "false"}
		maps.Copy(attributes, all)
		maps.Copy(attributes, own[n])
		if everywhere || onPorts != nil {
			attributes[proxyProtocol] = strconv.FormatBool(everywhere || slices.Contains(onPorts, n))
		}
		r.agree(n, attributes)
		byPort[n] = attributes
	}
	return byPort
}

// ownAttributes reads KeyTargetGroupAttributes with .PORT.
func (r *reader) ownAttributes() map[int32]map[string]string {
	own := map[int32]map[string]string{}
	for _, key := range r.suffixed(KeyTargetGroupAttributes) {
		_, suffix, _ := strings.Cut(key, KeyTargetGroupAttributes+".")
		n, ok := r.port(suffix)
		if !ok {
			r.problem("%s: there is no such port; allowed are %s", plain(key), r.allowedPorts())
			continue
		}
		own[n] = r.attributesOf(key, targetGroupKinds)
	}
	return own
}

// suffixed returns the annotations that are key and a suffix, sorted.
func (r *reader) suffixed(key string) []string {
	var keys []string
	for k := range r.svc.Annotations {
		if strings.HasPrefix(k, key+".") && r.value(k) != "" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// proxyProtocol returns whether all ports have it, and else which ones, nil if
// that was not said.
func (r *reader) proxyProtocol() (everywhere bool, ports []int32) {
	everywhere = r.choice(KeyProxyProtocol, "*") == "*"
	if r.value(KeyProxyProtocolPorts) == "" {
		return everywhere, nil
	}
	ports = elements(r, KeyProxyProtocolPorts, r.allowedPorts(), r.port)
	return everywhere, append([]int32{}, ports...)
}

// agree refuses attributes that exclude each other, or the protocol.
func (r *reader) agree(port int32, attributes map[string]string) {
	if r.protocols(port).udp {
		for name, value := range inOrder(map[string]string{preserveClientIP: "false", unhealthyTermination: "true"}) {
			if attributes[name] == value {
				r.problem("%s: %s=%s can't be done on port %d, which has UDP; allowed is the other value, in %s.%d for this port alone", KeyTargetGroupAttributes, name, value, port, KeyTargetGroupAttributes, port)
			}
		}
		return
	}
	if draining := attributes[unhealthyDraining]; draining != "" && draining != "0" && attributes[unhealthyTermination] != "false" {
		r.problem("%s: %s=%s can't be done on port %d, where connections to unhealthy targets end at once; allowed with %s=false", KeyTargetGroupAttributes, unhealthyDraining, draining, port, unhealthyTermination)
	}
}

// listenerAttributes reads KeyListenerAttributes with .PROTOCOL-PORT.
func (r *reader) listenerAttributes(tls map[int32]bool) map[ProtocolPort]map[string]string {
	listeners := map[string]ProtocolPort{}
	var names []string
	for _, n := range r.portNumbers() {
		has := r.protocols(n)
		if !has.tcp && !has.udp {
			continue
		}
		l := ProtocolPort{Protocol: listenerProtocol(has, tls[n]), Port: n}
		name := fmt.Sprintf("%s-%d", l.Protocol, n)
		listeners[name], names = l, append(names, name)
	}
	attributes := map[ProtocolPort]map[string]string{}
	for _, key := range r.suffixed(KeyListenerAttributes) {
		_, suffix, _ := strings.Cut(key, KeyListenerAttributes+".")
		listener, ok := listeners[suffix]
		if !ok {
			r.problem("%s: there is no such listener; allowed are those of the Service: %s", plain(key), some(names))
			continue
		}
		attributes[listener] = r.attributesOf(key, listenerKinds)
	}
	return attributes
}

// listenerProtocol is that of the listener on a port with these protocols.
func listenerProtocol(has protocols, tls bool) string {
	switch {
	case tls:
		return "TLS"
	case has.tcp && has.udp:
		return "TCP_UDP"
	case has.udp:
		return "UDP"
	}
	return "TCP"
}
