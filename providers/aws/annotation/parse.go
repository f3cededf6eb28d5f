package annotation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Defaults are what an installation does where a Service does not say.
type Defaults struct {
	// TargetType is Instance if it is empty.
	TargetType TargetType
}

// Parse reads what svc asks for. A blank annotation says nothing.
//
// The error is a *providers.Refusal of reason InvalidRequest with all problems
// in one message, and Settings are then not to be used. What depends on what
// exists is not checked: whether the scheme, the address type and the number
// of subnets fit, where annotations leave them open.
//
// Warnings say what was not looked at, and why: keys that nobody knows, values
// without effect. They are sorted.
func Parse(svc *corev1.Service, d Defaults) (Settings, []string, error) {
	r := &reader{svc: svc}
	var s Settings
	r.kind(&s, d)
	r.placement(&s)
	r.security(&s)
	r.tls(&s)
	r.attributes(&s)
	s.HealthCheck = r.healthCheck(s.TargetType)
	r.unsupported()
	return s, r.allWarnings(), r.refusal()
}

// Targets reads what svc says about who is a target, of target groups that are
// there: NodeLabels and MultiCluster. It says whether that can be told, whatever
// is wrong with the rest.
func Targets(svc *corev1.Service) (Settings, bool) {
	r := &reader{svc: svc}
	s := Settings{NodeLabels: r.nodeLabels(Instance), MultiCluster: r.flag(KeyMultiCluster)}
	return s, len(r.problems) == 0
}

// kind reads what the load balancer is, and what it is called.
func (r *reader) kind(s *Settings, d Defaults) {
	s.TargetType = r.targetType(d)
	s.Scheme = r.scheme()
	s.IPAddressType = IPAddressType(r.choice(KeyIPAddressType, string(IPv4), string(DualStack)))
	s.Name = r.name()
	s.Tags = r.tags()
	s.NodeLabels = r.nodeLabels(s.TargetType)
}

func (r *reader) targetType(d Defaults) TargetType {
	switch v := r.value(KeyType); v {
	case "", typeExternal:
	case typeNLBIP:
		return IP
	default:
		r.warn("%s: %s is not looked at; known are %s and %s", KeyType, quote(v), typeExternal, typeNLBIP)
	}
	t := TargetType(r.choice(KeyTargetType, string(Instance), string(IP)))
	if t == "" {
		t = d.TargetType
	}
	if t == IP {
		return IP
	}
	r.nodePorts()
	return Instance
}

// nodePorts refuses what has none: KEP-1864 lets a Service go without.
func (r *reader) nodePorts() {
	for i, p := range r.svc.Spec.Ports {
		if p.NodePort == 0 {
			r.problem("spec.ports[%d].nodePort: port %d has no node port, which instance targets need; allowed are spec.allocateLoadBalancerNodePorts: true or %s: %s", i, p.Port, KeyTargetType, IP)
		}
	}
}

func (r *reader) scheme() Scheme {
	if s := r.choice(KeyScheme, string(Internal), string(InternetFacing)); s != "" || r.value(KeyScheme) != "" {
		return Scheme(s)
	}
	switch internal := r.boolean(KeyInternal); {
	case internal == nil:
		return ""
	case *internal:
		return Internal
	default:
		return InternetFacing
	}
}

var loadBalancerName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?$`)

func (r *reader) name() string {
	name := r.value(KeyName)
	if name == "" || loadBalancerName.MatchString(name) && !strings.HasPrefix(name, "internal-") {
		return name
	}
	r.refuse(KeyName, name, "up to 32 letters, digits and hyphens, without a hyphen at either end or internal- at the beginning")
	return ""
}

// The tags by which things are known to be ours.
var trackingTags = []string{"elbv2.k8s.aws/cluster", "service.k8s.aws/stack", "service.k8s.aws/resource"}

// maxTags is how many AWS takes on a resource: 50, three of which are ours.
const maxTags = 50 - 3

func (r *reader) tags() map[string]string {
	tags := r.pairs(KeyTags)
	for _, key := range trackingTags {
		if _, ok := tags[key]; ok {
			r.warn("%s: the tag %s is Berth's own and not looked at", KeyTags, key)
			delete(tags, key)
		}
	}
	for key, value := range inOrder(tags) {
		if !isTag(key, value) {
			r.refuse(KeyTags, key+"="+value, "keys of 1 to 128 and values of up to 256 letters, digits, spaces and + - = . _ : / @, without aws: at the beginning")
		}
	}
	if len(tags) > maxTags {
		r.problem("%s: %d tags are too many; allowed are up to %d", KeyTags, len(tags), maxTags)
	}
	return tags
}

func isTag(key, value string) bool {
	return utf8.RuneCountInString(key) <= 128 && utf8.RuneCountInString(value) <= 256 && !strings.HasPrefix(strings.ToLower(key), "aws:") &&
		utf8.ValidString(key+value) && !strings.ContainsFunc(key+value, notInTags)
}

func notInTags(c rune) bool {
	return !unicode.IsLetter(c) && !unicode.IsNumber(c) && c != ' ' && !strings.ContainsRune("+-=._:/@", c)
}

func (r *reader) nodeLabels(t TargetType) labels.Selector {
	set := labels.Set(r.pairs(KeyNodeLabels))
	if len(set) == 0 {
		return nil
	}
	for key, value := range inOrder(set) {
		if len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(value)) > 0 {
			r.refuse(KeyNodeLabels, key+"="+value, "labels as Kubernetes has them")
		}
	}
	if t == IP {
		r.warn("%s is not looked at: targets are pods", KeyNodeLabels)
		return nil
	}
	return labels.SelectorFromSet(set)
}

// unsupported refuses what the AWS Load Balancer Controller does and Berth
// does not, since leaving it out would do something else than asked for.
func (r *reader) unsupported() {
	if v := r.value(keyQUICPorts); v != "" {
		r.problem("%s: %s can't be done: ports of a Service have no protocol QUIC, and nobody here gives pods the server IDs that it takes; remove the annotation to serve them as UDP", keyQUICPorts, quote(v))
	}
	if v := r.value(keyEIPDiscovery); v != "" {
		r.problem("%s: %s can't be done: name the allocations in %s", keyEIPDiscovery, quote(v), KeyEIPAllocations)
	}
	r.boolean(KeyTCPUDP) // it is always so
}

// unknown warns of keys that look like ours and are not.
func (r *reader) unknown() []string {
	var keys []string
	for key := range r.svc.Annotations {
		if (strings.HasPrefix(key, prefix) || strings.HasPrefix(key, ownPrefix)) && !isKnown(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return bounded(keys, func(key string) string {
		if near := nearest(key); near != "" {
			return fmt.Sprintf("annotation %s is not known; do you mean %s?", plain(key), near)
		}
		return fmt.Sprintf("annotation %s is not known", plain(key))
	})
}

func isKnown(key string) bool {
	return slices.Contains(known, key) || strings.HasPrefix(key, KeyTargetGroupAttributes+".") || strings.HasPrefix(key, KeyListenerAttributes+".")
}
