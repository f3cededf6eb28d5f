package plan

import (
	"maps"
	"strconv"
)

// Tags that say whose a resource is. They are those of the AWS Load Balancer
// Controller, so that what it made is recognised, and that IAM policies which
// ask for them go on working.
const (
	TagCluster  = "elbv2.k8s.aws/cluster"
	TagStack    = "service.k8s.aws/stack" // namespace/name of the Service
	TagResource = "service.k8s.aws/resource"
)

// Values of TagResource; that of a target group is its Key, that of a listener
// its port.
const (
	resourceLoadBalancer = "LoadBalancer"
	resourceGroup        = "ManagedLBSecurityGroup"
)

// tags returns those of the cluster, those of the Service over them, and over
// all those that say whose it is.
func (o outline) tags(resource string) map[string]string {
	tags := map[string]string{}
	maps.Copy(tags, o.Cluster.Tags)
	maps.Copy(tags, o.Settings.Tags)
	tags[TagCluster] = o.Cluster.Name
	tags[TagStack] = o.Service.Namespace + "/" + o.Service.Name
	tags[TagResource] = resource
	return tags
}

func (o outline) listenerTags(port int32) map[string]string {
	return o.tags(strconv.Itoa(int(port)))
}
