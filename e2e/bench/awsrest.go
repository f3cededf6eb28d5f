package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers/aws"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

const (
	// scanPace is the time between two scans for drift, which is an hour as long
	// as nobody says otherwise: what a scan does does not depend on it.
	scanPace = time.Second
	// rotation is how many scans it takes until all that a scan looks at in turn
	// was looked at.
	rotation = 24
)

// awsAtRest has many Services that the AWS Load Balancer Controller left be taken
// over, the process restart, and nothing happen.
func awsAtRest(ctx context.Context, b *bench) ([]figure, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	a := openAccount(ctx)
	if err := a.inherit(ctx); err != nil {
		return nil, err
	}
	adopted, err := a.adopt(ctx, b)
	if err != nil {
		return nil, err
	}
	restarted, err := a.restart(ctx, b)
	if err != nil {
		return []figure{adopted}, err
	}
	rest, err := a.rest(ctx, b)
	return append([]figure{adopted, restarted}, rest...), err
}

// inherit makes Services as the AWS Load Balancer Controller leaves them, a while
// ago: what was tagged a moment ago is in no listing yet.
func (a *account) inherit(ctx context.Context) error {
	var targets []string
	for _, n := range a.site.Nodes {
		targets = append(targets, n.Instance)
	}
	for i := range awsCrowd {
		svc := balanced(name(i), nodePortOf(i))
		const crossZone = "load_balancing.cross_zone.enabled"
		svc.Annotations[annotation.KeyAttributes] = crossZone + "=true"
		made := a.cloud.AddLBCService(fakeaws.LBCService{
			Cluster: awsCluster, Namespace: svc.Namespace, Name: svc.Name, VPC: a.site.VPC, Subnets: a.site.Private, NodeGroup: a.site.NodeGroup,
			Ports:   []fakeaws.LBCPort{{Port: svc.Spec.Ports[0].Port, TargetPort: svc.Spec.Ports[0].NodePort}},
			Targets: targets, Attributes: map[string]string{crossZone: "true"},
		})
		svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: made.DNSName}}
		a.put(svc)
	}
	return pause(ctx, 2*fakeaws.AWSDelays().Tagging/awsPace)
}

func (a *account) adopt(ctx context.Context, b *bench) (figure, error) {
	began := time.Now()
	c := a.call(ctx, b.workers)
	defer c.stop()
	if err := a.awaitActive(ctx, awsCrowd); err != nil {
		return figure{}, err
	}
	t := tallyOf(a.cloud.Calls())
	progress("  aws: taken over %d Services: %s", awsCrowd, t)
	return figure{
		What:     fmt.Sprintf("aws: %d Services taken over from the AWS Load Balancer Controller: changes", awsCrowd),
		Measured: fmt.Sprintf("%d; %d calls that look, in %.0f s", t.changes, t.all-t.changes, time.Since(began).Seconds()),
		Target:   "0",
		Met:      t.changes == 0,
	}, nil
}

func (a *account) restart(ctx context.Context, b *bench) (figure, error) {
	a.cloud.Reset()
	c := a.call(ctx, b.workers)
	defer c.stop()
	if err := c.rested(ctx, awsCrowd); err != nil {
		return figure{}, err
	}
	if err := a.quiet(ctx, 3*awsPoll); err != nil {
		return figure{}, err
	}
	t := tallyOf(a.cloud.Calls())
	progress("  aws: restarted with %d Services: %s", awsCrowd, t)
	return figure{
		What:     fmt.Sprintf("aws: restart with %d Services: calls", awsCrowd),
		Measured: fmt.Sprintf("%d, %d of them changes", t.all, t.changes),
		Limit:    "the AWS Load Balancer Controller lists all, and describes each",
		Target:   "under 200, 0 changes",
		Met:      t.all < 200 && t.changes == 0,
	}, nil
}

// rest counts the calls of whole rotations of scans in a new process.
func (a *account) rest(ctx context.Context, b *bench) ([]figure, error) {
	a.cloud.Reset()
	c := a.call(ctx, b.workers, func(o *aws.Options) { o.Scan = scanPace })
	defer c.stop()
	var began []int
	err := await(ctx, "whole rotations of scans", 20*time.Minute, func() bool {
		began = scansIn(a.cloud.Calls())
		return len(began) > 1+rotation
	})
	if err != nil {
		return nil, err
	}
	calls := a.cloud.Calls()
	most := 0
	for i := 1; i <= rotation; i++ {
		most = max(most, began[i+1]-began[i])
	}
	t := tallyOf(calls[began[1]:began[1+rotation]])
	progress("  aws: %d scans at rest: %s", rotation, t)
	mean := float64(t.all) / rotation
	return []figure{{
		What:     fmt.Sprintf("aws: calls per hour at rest, %d Services, drift scan included", awsCrowd),
		Measured: fmt.Sprintf("%.0f, at most %d, over %d scans; %d changes", mean, most, rotation, t.changes),
		Limit:    "thousands by the AWS Load Balancer Controller",
		Target:   "under 200",
		Met:      most < 200 && t.changes == 0,
	}, {
		What:     "aws: restart and the first scan together",
		Measured: fmt.Sprint(began[1]),
		Target:   "under 200",
		Met:      began[1] < 200,
	}}, nil
}

// scansIn returns the calls that scans begin with: the first page of a listing.
// That of the start is none of a scan.
func scansIn(calls []fakeaws.Call) (began []int) {
	for i, call := range calls {
		if call.Action == "GetResources" && !strings.Contains(call.Parameters, `"PaginationToken":"`) {
			began = append(began, i)
		}
	}
	return began[min(1, len(began)):]
}
