package annotation

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
)

// reader reads annotations of one Service and gathers what is wrong with them.
type reader struct {
	svc                *corev1.Service
	problems, warnings []string
}

// value returns the annotation key, or "" where it says nothing.
func (r *reader) value(key string) string { return strings.TrimSpace(r.svc.Annotations[key]) }

// boolean returns nil where nothing, or nothing that can be read, is said.
func (r *reader) boolean(key string) *bool {
	v := r.value(key)
	if v == "" {
		return nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		r.refuse(key, v, "true and false")
		return nil
	}
	return &b
}

func (r *reader) choice(key string, allowed ...string) string {
	v := r.value(key)
	if v == "" || slices.Contains(allowed, v) {
		return v
	}
	r.refuse(key, v, strings.Join(allowed, ", "))
	return ""
}

// number reads one of a range; what is measured is in unit.
func (r *reader) number(key, unit string, low, high int32) *int32 {
	v := r.value(key)
	if v == "" {
		return nil
	}
	n, ok := whole(v, low, high)
	if !ok {
		r.refuse(key, v, fmt.Sprintf("%s from %d to %d", unit, low, high))
		return nil
	}
	return &n
}

func whole(text string, low, high int32) (int32, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err == nil && !strings.HasPrefix(text, "+") && n >= int64(low) && n <= int64(high)
}

// list splits at commas, and leaves blanks and holes out.
func (r *reader) list(key string) []string { return split(r.value(key)) }

func split(text string) []string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// elements reads a list whose elements are of one kind.
func elements[T any](r *reader, key, allowed string, parse func(string) (T, bool)) []T {
	var all []T
	for _, text := range r.list(key) {
		element, ok := parse(text)
		if !ok {
			r.refuse(key, text, allowed)
			continue
		}
		all = append(all, element)
	}
	return all
}

// prefixed is for elements: IDs of one kind of thing.
func prefixed(with string) func(string) (string, bool) {
	return func(text string) (string, bool) {
		return text, len(text) > len(with) && strings.HasPrefix(text, with) && isWord(text)
	}
}

// isWord says whether text has nothing but what IDs and ARNs are made of.
func isWord(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' })
}

// distinct refuses what is listed twice.
func (r *reader) distinct(key string, list []string) []string {
	seen := map[string]bool{}
	for _, element := range list {
		if seen[element] {
			r.problem("%s: %s is listed twice", key, quote(element))
		}
		seen[element] = true
	}
	return list
}

// pairs reads k=v,k=v where \, is a comma in a value. The last of one key wins.
// Go through them in order where that may lead to problems, since not all of
// those are kept.
func (r *reader) pairs(key string) map[string]string {
	pairs := map[string]string{}
	for _, text := range splitPairs(r.value(key)) {
		k, v, ok := strings.Cut(text, "=")
		if k = strings.TrimSpace(k); !ok || k == "" {
			r.refuse(key, text, `pairs like key=value, joined by commas; a comma in a value is \,`)
			continue
		}
		pairs[k] = strings.TrimSpace(v)
	}
	if len(pairs) == 0 {
		return nil
	}
	return pairs
}

func inOrder(pairs map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, key := range slices.Sorted(maps.Keys(pairs)) {
			if !yield(key, pairs[key]) {
				return
			}
		}
	}
}

// splitPairs splits at commas without a backslash, and leaves holes out.
func splitPairs(text string) []string {
	var parts []string
	var part strings.Builder
	end := func() {
		if p := strings.TrimSpace(part.String()); p != "" {
			parts = append(parts, p)
		}
		part.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], `\,`):
			i++
			part.WriteByte(',')
		case text[i] == ',':
			end()
		default:
			part.WriteByte(text[i])
		}
	}
	end()
	return parts
}

// port finds a port of the Service by its number or its name.
func (r *reader) port(text string) (int32, bool) {
	if n, ok := whole(text, 1, math.MaxUint16); ok && r.protocols(n) != (protocols{}) {
		return n, true
	}
	p := r.portNamed(text)
	if p == nil {
		return 0, false
	}
	return p.Port, true
}

func (r *reader) portNamed(name string) *corev1.ServicePort {
	for i := range r.svc.Spec.Ports {
		if p := &r.svc.Spec.Ports[i]; p.Name != "" && p.Name == name {
			return p
		}
	}
	return nil
}

// portNumbers returns those of the Service, sorted and once each.
func (r *reader) portNumbers() []int32 {
	var numbers []int32
	for _, p := range r.svc.Spec.Ports {
		numbers = append(numbers, p.Port)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// protocols are those that one port number has.
type protocols struct{ tcp, udp, other bool }

func (r *reader) protocols(number int32) protocols {
	var has protocols
	for _, p := range r.svc.Spec.Ports {
		if p.Port != number {
			continue
		}
		switch p.Protocol {
		case corev1.ProtocolTCP, "":
			has.tcp = true
		case corev1.ProtocolUDP:
			has.udp = true
		default:
			has.other = true
		}
	}
	return has
}

// allowedPorts lists the ports of the Service for a message.
func (r *reader) allowedPorts() string {
	var ports []string
	for _, p := range r.svc.Spec.Ports {
		text := strconv.Itoa(int(p.Port))
		if p.Name != "" {
			text += " (" + plain(p.Name) + ")"
		}
		ports = append(ports, text)
	}
	return "the ports of the Service: " + some(ports)
}

// refuse notes that key has a value that is not allowed.
func (r *reader) refuse(key, value, allowed string) {
	r.problem("%s: %s is not allowed; allowed are %s", plain(key), quote(value), allowed)
}

// maxProblems are gathered: a list in an annotation can have 100,000 elements.
const maxProblems = 100

func (r *reader) problem(format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, fmt.Sprintf(format, args...))
	}
}

func (r *reader) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

func (r *reader) refusal() error {
	if len(r.problems) == 0 {
		return nil
	}
	message := strings.Join(bounded(sorted(r.problems), same), ". ")
	return &providers.Refusal{Reason: providers.ReasonInvalidRequest, Message: message}
}

func (r *reader) allWarnings() []string {
	return sorted(append(bounded(sorted(r.warnings), same), r.unknown()...))
}
