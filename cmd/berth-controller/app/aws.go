package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/gates"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// awsOptions are the flags of the backend aws.
type awsOptions struct {
	clusterName string
	region      string
	vpc         string
	targetType  string
	tags        map[string]string
	healthCheck string
	nodeGroups  bool

	// fence is what changes go through; nil where there is no lease.
	fence *fence
}

func defaultsForAWS() awsOptions {
	return awsOptions{
		targetType:  string(annotation.Instance),
		healthCheck: annotation.HealthCheckTrafficPort,
		nodeGroups:  true,
	}
}

func (o *awsOptions) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.clusterName, "aws-cluster-name", o.clusterName, "name of the cluster in the tags of all that the backend aws makes, and by which it knows what is its own")
	f.StringVar(&o.region, "aws-region", o.region, "AWS Region; empty takes $AWS_REGION, the SDK's configuration files, or instance metadata")
	f.StringVar(&o.vpc, "aws-vpc-id", o.vpc, "VPC of the nodes; empty asks instance metadata")
	f.StringVar(&o.targetType, "aws-default-target-type", o.targetType, "targets of Services that don't say: instance or ip")
	f.StringToStringVar(&o.tags, "aws-default-tags", nil, "tags on all that is made, as key=value,...; those of a Service win")
	f.StringVar(&o.healthCheck, "aws-default-health-check", o.healthCheck, "how instance targets are checked for policy Cluster by Services that don't say: traffic-port, or kube-proxy, which drains nodes that go away (KEP-3836)")
	f.BoolVar(&o.nodeGroups, "aws-manage-node-security-groups", o.nodeGroups, "have the security groups of the nodes let load balancers in")
}

func (o *awsOptions) validate() error {
	switch {
	case o.clusterName == "":
		return errors.New("--aws-cluster-name is empty; the backend aws needs it to tell what is its own")
	case o.targetType != string(annotation.Instance) && o.targetType != string(annotation.IP):
		return fmt.Errorf("--aws-default-target-type: %q is not allowed; allowed are: instance, ip", o.targetType)
	case o.healthCheck != annotation.HealthCheckTrafficPort && o.healthCheck != annotation.HealthCheckKubeProxy:
		return fmt.Errorf("--aws-default-health-check: %q is not allowed; allowed are: %s, %s", o.healthCheck, annotation.HealthCheckTrafficPort, annotation.HealthCheckKubeProxy)
	}
	return nil
}

// options are the backend's for where the process is, but for what it has to do
// with the rest of the process.
func (o *awsOptions) options(ctx context.Context, log logr.Logger) (aws.Options, error) {
	cfg, site, err := aws.Discover(ctx, aws.Site{Region: o.region, VPC: o.vpc})
	if err != nil {
		return aws.Options{}, err
	}
	if o.fence != nil {
		cfg.APIOptions = append(cfg.APIOptions, o.fence.guard)
	}
	log.Info("Network Load Balancers are at AWS", "region", site.Region, "vpc", site.VPC, "cluster", o.clusterName)
	return aws.Options{
		Clients:         aws.NewClients(cfg),
		Cluster:         plan.Cluster{Name: o.clusterName, Tags: o.tags, KubeProxyHealth: o.healthCheck == annotation.HealthCheckKubeProxy},
		VPC:             site.VPC,
		TargetType:      annotation.TargetType(o.targetType),
		LeaveNodeGroups: !o.nodeGroups,
		Log:             log,
	}, nil
}

func newAWS(ctx context.Context, mgr manager.Manager, wake providers.Wake, o *options) (providers.Provider, error) {
	options, err := o.aws.options(ctx, ctrl.Log.WithName("aws"))
	if err != nil {
		return nil, err
	}
	pods, err := newPods(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return nil, err
	}
	opened := gates.New(pods, wake, options.Log)
	options.Wake, options.Service, options.Gates = wake, servicesIn(ctx, mgr.GetClient()), opened
	p := aws.New(options)
	return p, errors.Join(mgr.Add(manager.RunnableFunc(opened.Run)), mgr.Add(manager.RunnableFunc(p.Run)))
}

// servicesIn returns a lookup of Services.
func servicesIn(ctx context.Context, c client.Reader) func(namespace, name string) (*corev1.Service, bool) {
	return func(namespace, name string) (*corev1.Service, bool) {
		svc := &corev1.Service{}
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, svc)
		return svc, err == nil
	}
}
