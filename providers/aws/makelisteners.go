package aws

import (
	"context"
	"errors"
	"maps"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/berth-lb/berth/providers/aws/plan"
)

func (e *execution) createListener(ctx context.Context, c plan.CreateListener) error {
	l := c.Listener
	lb, group := e.name(c.LoadBalancer), e.name(l.TargetGroup)
	out, err := e.calls.BalancingChange.CreateListener(ctx, &elb.CreateListenerInput{
		LoadBalancerArn: &lb,
		Protocol:        elbtypes.ProtocolEnum(l.Protocol),
		Port:            &l.Port,
		DefaultActions:  forwardTo(group),
		Certificates:    certificatesTo(l.Certificates),
		SslPolicy:       str(l.SSLPolicy),
		AlpnPolicy:      alpnTo(l),
		Tags:            elbTags(l.Tags),
	})
	if err != nil {
		return err
	}
	if len(out.Listeners) != 1 {
		return errors.New("AWS made a listener and does not say which")
	}
	l.ARN, l.TargetGroup, l.Attributes = sdk.ToString(out.Listeners[0].ListenerArn), group, nil
	e.inventory.add(e.stack, l.ARN)
	e.loadBalancer(lb, func(b *plan.LoadBalancer) { b.Listeners = append(b.Listeners, l) })
	return nil
}

// alpnTo is for listeners that speak TLS alone.
func alpnTo(l plan.Listener) []string {
	if l.Protocol != string(elbtypes.ProtocolEnumTls) {
		return nil
	}
	return list(l.ALPN)
}

// listener changes what AWS holds of one, wherever it is.
func (e *execution) listener(arn string, change func(*plan.Listener)) {
	e.note(func(s *plan.Stack) {
		for i := range s.LoadBalancers {
			for j := range s.LoadBalancers[i].Listeners {
				if l := &s.LoadBalancers[i].Listeners[j]; l.ARN == arn {
					change(l)
				}
			}
		}
	})
}

// listenerAt returns the ARN of one that a change names, or that was made on a
// port.
func (e *execution) listenerAt(arn string, port int32) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range successor(e.now, e.desired).Listeners {
		if arn == "" && l.Port == port {
			return l.ARN
		}
	}
	return arn
}

func (e *execution) modifyListener(ctx context.Context, l plan.Listener) error {
	group := e.name(l.TargetGroup)
	_, err := e.calls.BalancingChange.ModifyListener(ctx, &elb.ModifyListenerInput{
		ListenerArn:    &l.ARN,
		Protocol:       elbtypes.ProtocolEnum(l.Protocol),
		Port:           &l.Port,
		DefaultActions: forwardTo(group),
		Certificates:   certificatesTo(l.Certificates),
		SslPolicy:      str(l.SSLPolicy),
		AlpnPolicy:     alpnTo(l),
	})
	if err != nil {
		return err
	}
	e.listener(l.ARN, func(has *plan.Listener) {
		has.Protocol, has.TargetGroup, has.SSLPolicy, has.ALPN = l.Protocol, group, l.SSLPolicy, l.ALPN
		more := has.Certificates[min(1, len(has.Certificates)):]
		has.Certificates = slices.Concat(l.Certificates, more)
	})
	return nil
}

func (e *execution) modifyListenerCertificates(ctx context.Context, c plan.ModifyListenerCertificates) error {
	arn := e.listenerAt(c.Listener, c.Port)
	for _, certificate := range c.Add { // AWS takes one a call
		if _, err := e.calls.BalancingChange.AddListenerCertificates(ctx, &elb.AddListenerCertificatesInput{ListenerArn: &arn, Certificates: certificatesTo(list(certificate))}); err != nil {
			return err
		}
	}
	for _, certificate := range c.Remove {
		if _, err := e.calls.BalancingChange.RemoveListenerCertificates(ctx, &elb.RemoveListenerCertificatesInput{ListenerArn: &arn, Certificates: certificatesTo(list(certificate))}); err != nil {
			return err
		}
	}
	e.listener(arn, func(l *plan.Listener) {
		kept := slices.DeleteFunc(slices.Clone(l.Certificates), func(arn string) bool { return slices.Contains(c.Remove, arn) })
		l.Certificates = append(kept, c.Add...)
	})
	return nil
}

func (e *execution) modifyListenerAttributes(ctx context.Context, c plan.ModifyListenerAttributes) error {
	arn := e.listenerAt(c.Listener, c.Port)
	var attributes []elbtypes.ListenerAttribute
	for _, key := range slices.Sorted(maps.Keys(c.Attributes)) {
		attributes = append(attributes, elbtypes.ListenerAttribute{Key: &key, Value: new(c.Attributes[key])})
	}
	_, err := e.calls.BalancingChange.ModifyListenerAttributes(ctx, &elb.ModifyListenerAttributesInput{ListenerArn: &arn, Attributes: attributes})
	if err != nil {
		return err
	}
	e.listener(arn, func(l *plan.Listener) { l.Attributes = with(l.Attributes, c.Attributes) })
	return nil
}

func (e *execution) deleteListener(ctx context.Context, l plan.Listener) error {
	_, err := e.calls.BalancingChange.DeleteListener(ctx, &elb.DeleteListenerInput{ListenerArn: &l.ARN})
	if err != nil && !isNotFound(err) {
		return err
	}
	e.inventory.drop(e.stack, l.ARN)
	e.note(func(s *plan.Stack) {
		for i := range s.LoadBalancers {
			lb := &s.LoadBalancers[i]
			lb.Listeners = slices.DeleteFunc(slices.Clone(lb.Listeners), func(has plan.Listener) bool { return has.ARN == l.ARN })
		}
	})
	return nil
}
