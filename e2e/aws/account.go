// Package aws is an AWS account in which a cluster has its nodes, for
// berth-controller to make load balancers in. Its tests are stories of users,
// told to the built program through a real API server and the account; names
// that users rely on are spelled out there, not imported.
package aws

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// Region is where all accounts are.
const Region = "eu-central-1"

// Account is one that exists in memory, and answers on loopback.
type Account struct {
	*fakeaws.Cloud
	// URL is that of all its APIs.
	URL string
	// Site is where the nodes of the cluster are. The same number of them is the
	// same instances in every account.
	Site fakeaws.Site
}

// Open returns an account with the nodes of a cluster, which is served until ctx
// ends.
func Open(ctx context.Context, cluster string, nodes int, options fakeaws.Options) *Account {
	options.Region = Region
	a := &Account{Cloud: fakeaws.New(options)}
	a.Site = a.AddEKS(fakeaws.EKS{Cluster: cluster, Nodes: nodes})
	a.URL = a.Start(ctx)
	return a
}

// Env is the environment of a program that uses the account.
func (a *Account) Env() []string {
	return append(a.EnvOfNobody(), "AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=example")
}

// EnvOfNobody leads to the account without any credentials. What this machine
// knows of AWS is out of the way.
func (a *Account) EnvOfNobody() []string {
	var env []string
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			env = append(env, name+"=")
		}
	}
	return append(env,
		"AWS_ENDPOINT_URL="+a.URL,
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
	)
}

// EnvOnInstance is Env on an instance in the cluster's VPC, which is told of that
// by instance metadata at that URL.
func (a *Account) EnvOnInstance(metadata string) []string {
	env := slices.DeleteFunc(a.Env(), func(variable string) bool { return strings.HasPrefix(variable, "AWS_EC2_METADATA_DISABLED=") })
	return append(env, "AWS_EC2_METADATA_SERVICE_ENDPOINT="+metadata)
}

// Flags have berth-controller serve a cluster by that name.
func (a *Account) Flags(cluster string) []string {
	return []string{"--backends=aws", "--aws-cluster-name=" + cluster, "--aws-region=" + Region, "--aws-vpc-id=" + a.Site.VPC}
}

// Node is an instance as Kubernetes has it.
func Node(name string, n fakeaws.Node) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: n.Zone}},
		Spec:       corev1.NodeSpec{ProviderID: n.ProviderID},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.Address}}},
	}
}

// Changing are the calls that change something and were not refused.
func (a *Account) Changing() []fakeaws.Call {
	var changing []fakeaws.Call
	for _, call := range a.Calls() {
		if call.Changes() && call.Code == "" {
			changing = append(changing, call)
		}
	}
	return changing
}

// Difference lists the lines that only one Dump has: with a minus those that now
// lacks, with a plus those that came.
func Difference(before, now string) string {
	count := map[string]int{}
	for line := range strings.Lines(before) {
		count[line]--
	}
	for line := range strings.Lines(now) {
		count[line]++
	}
	var lines []string
	for line, n := range count {
		switch {
		case n < 0:
			lines = append(lines, "- "+line)
		case n > 0:
			lines = append(lines, "+ "+line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// shared is what stays of a cluster in a Difference: the security group of all
// its load balancers, and the rules by which the AWS Load Balancer Controller had
// the nodes let that one in, which only that takes away.
var shared = regexp.MustCompile(`(?m)^\+ (security group k8s-traffic-.*| +tag elbv2.k8s.aws/(cluster=.*|resource=backend-sg)| +(tcp|udp) .* from k8s-traffic-.* elbv2.k8s.aws/targetGroupBinding=shared)\n`)

// Left is what the account holds besides what it did before, and what stays of a
// cluster.
func (a *Account) Left(before string) string {
	return shared.ReplaceAllString(Difference(before, a.Dump()), "")
}
