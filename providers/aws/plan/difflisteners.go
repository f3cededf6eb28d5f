package plan

import (
	"cmp"
	"slices"
)

// listenerPair is a listener that is wanted and the one that has its port now,
// or nil. A port has one listener, which can change everything else.
type listenerPair struct {
	want Listener
	has  *Listener
}

func (d diff) listenerPairs() []listenerPair {
	want, _ := d.wantedLB()
	var pairs []listenerPair
	for _, w := range want.Listeners {
		p := listenerPair{want: w}
		p.want.TargetGroup = d.targetGroupRef(w.TargetGroup)
		if d.loadBalancer != nil {
			if i := slices.IndexFunc(d.loadBalancer.Listeners, func(l Listener) bool { return l.Port == w.Port }); i >= 0 {
				p.has = &d.loadBalancer.Listeners[i]
				p.want.ARN = p.has.ARN
			}
		}
		pairs = append(pairs, p)
	}
	return pairs
}

func (d diff) createListeners() (changes []Change) {
	for _, p := range d.listenerPairs() {
		if p.has == nil {
			l := p.want
			l.Attributes = nil
			if len(l.Certificates) > 1 {
				l.Certificates = l.Certificates[:1]
			}
			changes = append(changes, CreateListener{LoadBalancer: d.arn(), Listener: l})
		}
	}
	return changes
}

func (d diff) modifyListeners() (changes []Change) {
	for _, p := range d.listenerPairs() {
		if p.has != nil && !d.inTheWay(*p.has) { // else it is changed already
			changes = append(changes, d.modify(p)...)
		}
		changes = append(changes, p.certificates()...)
		has := listenerDefaults
		if p.has != nil {
			has = p.has.Attributes
		}
		if attributes := different(p.want.Attributes, has); len(attributes) > 0 {
			changes = append(changes, ModifyListenerAttributes{Listener: p.want.ARN, Protocol: p.want.Protocol, Port: p.want.Port, Attributes: attributes})
		}
	}
	return changes
}

func (d diff) modify(p listenerPair) []Change {
	if !d.differs(*p.has, p.want) {
		return nil
	}
	l := p.want
	l.Attributes, l.Tags = nil, nil
	if len(l.Certificates) > 1 {
		l.Certificates = l.Certificates[:1]
	}
	return []Change{ModifyListener{l}}
}

// differs compares what ModifyListener changes. A policy that nobody asks for is
// left as it is: AWS's default is not the best that there is.
func (d diff) differs(has, want Listener) bool {
	return has.Protocol != want.Protocol ||
		!d.forwards(has, want.TargetGroup) ||
		first(has.Certificates) != first(want.Certificates) ||
		want.SSLPolicy != "" && has.SSLPolicy != want.SSLPolicy ||
		want.ALPN != "" && cmp.Or(has.ALPN, noALPN) != want.ALPN
}

// forwards says whether a listener sends to target group ref.
func (d diff) forwards(l Listener, ref string) bool {
	if l.TargetGroup == ref {
		return true
	}
	for _, g := range d.targetGroups {
		if g.ARN == ref {
			return serves(d.observed, LoadBalancer{Listeners: []Listener{l}}, *g)
		}
	}
	return false
}

// certificates changes those beside the default.
func (p listenerPair) certificates() []Change {
	if p.want.Protocol != tls {
		return nil
	}
	var has []string
	if p.has != nil && p.has.Protocol == tls {
		has = rest(p.has.Certificates)
	}
	c := ModifyListenerCertificates{
		Listener: p.want.ARN, Protocol: p.want.Protocol, Port: p.want.Port,
		Add:    filter(rest(p.want.Certificates), func(arn string) bool { return !slices.Contains(has, arn) }),
		Remove: filter(has, func(arn string) bool { return !slices.Contains(p.want.Certificates, arn) }),
	}
	if len(c.Add) == 0 && len(c.Remove) == 0 {
		return nil
	}
	return []Change{c}
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func rest(list []string) []string { return list[min(1, len(list)):] }
