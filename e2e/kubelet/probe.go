//go:build linux

package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/berth-lb/berth/e2e/lab"
)

// prober asks a container what one of its probes asks.
type prober struct {
	probe *corev1.Probe
	url   string
	from  *lab.Station
}

// newProber returns nil where there is nothing to ask.
func newProber(probe *corev1.Probe, c *corev1.Container, from *lab.Station, host string) (*prober, error) {
	if probe == nil {
		return nil, nil
	}
	if probe.HTTPGet == nil {
		return nil, errors.New("its probes are to be httpGet here")
	}
	port, err := portOf(probe.HTTPGet.Port, c)
	if err != nil {
		return nil, err
	}
	if probe.HTTPGet.Host != "" {
		host = probe.HTTPGet.Host
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return nil, err
	}
	return &prober{probe: probe, from: from, url: "http://" + netip.AddrPortFrom(address, port).String() + probe.HTTPGet.Path}, nil
}

func portOf(port intstr.IntOrString, c *corev1.Container) (uint16, error) {
	if port.Type == intstr.Int {
		return uint16(port.IntVal), nil
	}
	i := slices.IndexFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == port.StrVal })
	if i < 0 {
		return 0, fmt.Errorf("its probe asks the port %q, which it doesn't name", port.StrVal)
	}
	return uint16(c.Ports[i].ContainerPort), nil
}

// ask is one question.
func (p *prober) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(1, p.probe.TimeoutSeconds))*time.Second)
	defer cancel()
	status, body, err := p.from.Get(ctx, p.url)
	if err == nil && (status < http.StatusOK || status >= http.StatusBadRequest) {
		err = fmt.Errorf("%s answers %d: %s", p.url, status, body)
	}
	return err
}

// run asks until ctx ends, and tells each change of the verdict.
func (p *prober) run(ctx context.Context, verdict func(ok bool, why error)) {
	wait := time.Duration(p.probe.InitialDelaySeconds) * time.Second
	every := time.Duration(max(1, p.probe.PeriodSeconds)) * time.Second
	succeeded, failed := int32(0), int32(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = every
		err := p.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			succeeded, failed = succeeded+1, 0
		} else {
			succeeded, failed = 0, failed+1
		}
		switch {
		case succeeded == max(1, p.probe.SuccessThreshold):
			verdict(true, nil)
		case failed == max(1, p.probe.FailureThreshold):
			verdict(false, err)
		}
	}
}
