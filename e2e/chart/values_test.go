package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/berth-lb/berth/e2e/check"
)

// everything switches on all that is off by itself.
var everything = []string{
	"--set=backends={pool,aws},clusterName=prod,region=eu-central-1,vpcId=vpc-0123456789abcdef0,defaultTags.team=network",
	"--set=aws.setLoadBalancerClass=true,aws.injectReadinessGates=true", "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
	"--set=loadBalancerClass=example.com/pool,imagePullSecrets[0].name=registry,commonLabels.team=network",
	"--set=speaker.serviceBGPStatus=true,speaker.passwordSecrets={tor-password},speaker.excludeInterfaces=lo|storage.*,speaker.extraCapabilities={NET_ADMIN},speaker.extraArgs={--stand-in=false}",
	"--set=controller.podDisruptionBudget.minAvailable=1,controller.strategy.type=Recreate,controller.labels.zone=a",
	`--set=controller.serviceAccount.annotations.eks\.amazonaws\.com/role-arn=arn:aws:iam::111122223333:role/berth`,
	"--set=networkPolicy.enabled=true,prometheus.metallbNames=true,prometheus.scrapeAnnotations=true",
	"--set=prometheus.podMonitor.enabled=true,prometheus.serviceMonitor.enabled=true,prometheus.serviceMonitor.interval=30s",
	"--set=prometheus.prometheusRule.enabled=true,prometheus.dashboards.enabled=true",
	"--set=prometheus.prometheusRule.extraAlerts[0].alert=Quiet,prometheus.prometheusRule.extraAlerts[0].expr=absent(up)",
	"--set=prometheus.podMonitor.annotations.team=network,prometheus.podMonitor.additionalLabels.release=kube-prometheus-stack",
	"--set=prometheus.podMonitor.relabelings[0].sourceLabels[0]=__meta_kubernetes_pod_node_name,prometheus.podMonitor.relabelings[0].targetLabel=node",
	"--set=prometheus.podMonitor.metricRelabelings[0].action=labeldrop,prometheus.podMonitor.metricRelabelings[0].regex=controller_runtime_.*",
	"--set=controller.extraVolumes[0].name=ca,controller.extraVolumes[0].configMap.name=proxy-ca",
	"--set=controller.extraVolumeMounts[0].name=ca,controller.extraVolumeMounts[0].mountPath=/etc/ssl/certs",
}

func eks(t *testing.T) []string {
	return []string{"--values=" + filepath.Join(chartDir(t), "values-eks.yaml"), "--set=clusterName=prod"}
}

func TestRefusedValues(t *testing.T) {
	profile := eks(t)[:1]
	for _, test := range []struct {
		why  string
		args []string
		says string
	}{
		{"a typo", []string{"--set=speker.enabled=false"}, "'speker' not allowed"},
		{"a typo further down", []string{"--set=controller.replica=3"}, "at '/controller': additional properties 'replica' not allowed"},
		{"a wrong type", []string{"--set-string=controller.replicas=two"}, "at '/controller/replicas': got string, want integer"},
		{"a value of MetalLB's without a counterpart", []string{"--set=speaker.frr.enabled=true"}, "'frr' not allowed"},
		{"a value of the AWS Load Balancer Controller's without a counterpart", []string{"--set=enableShield=true"}, "'enableShield' not allowed"},
		{"a level that there is not", []string{"--set=speaker.logLevel=all"}, "at '/speaker/logLevel'"},
		{"a port that there is not", []string{"--set=speaker.livenessPort=70000"}, "at '/speaker/livenessPort'"},
		{"a port that probes have", []string{"--set=prometheus.metricsPort=7474"}, "at '/prometheus/metricsPort'"},
		{"a version of policies that there is not", []string{"--set=aws.mutatingPolicies=v1alpha1"}, "at '/aws/mutatingPolicies'"},
		{"a backend that there is not", []string{"--set=backends={metallb}"}, "at '/backends/0'"},
		{"no backend", []string{"--set-json=backends=[]"}, "at '/backends'"},
		{"a default backend that is not run", []string{"--set=defaultBackend=fake"}, `defaultBackend: "fake" is not among backends (pool)`},
		{"a class that nobody serves", []string{"--set=aws.setLoadBalancerClass=true"}, "aws.setLoadBalancerClass takes the backend aws, and that is not among backends (pool)"},
		{"gates that nobody opens", []string{"--set=aws.injectReadinessGates=true"}, "aws.injectReadinessGates takes the backend aws, and that is not among backends (pool)"},
		{"EKS without the cluster's name", profile, "clusterName is empty; the backend aws tells by the cluster's name what is its own: --set clusterName=NAME"},
	} {
		t.Run(test.why, func(t *testing.T) {
			_, err := template(t, test.args...)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("helm says %v, want %s", err, test.says)
			}
		})
	}
}

func TestArgumentsFromValues(t *testing.T) {
	tags := filepath.Join(t.TempDir(), "tags.yaml")
	check.Must(t, os.WriteFile(tags, []byte("defaultTags: {CostCenter: 1234567, share: 0.5, billed: true, account: \"0042\"}\n"), 0o600))
	inFile := append(eks(t), "--values="+tags)
	for _, test := range []struct {
		why  string
		args []string
		want string
	}{
		{"bare metal: Services without a class are the pool's", nil, "--default-backend=pool"},
		{"as with MetalLB, a class means that nothing else is served", []string{"--set=loadBalancerClass=x/y"}, "--default-backend="},
		{"unless somebody says so", []string{"--set=loadBalancerClass=x/y,defaultBackend=pool"}, "--default-backend=pool"},
		{"EKS: the cloud's own controller has those", eks(t), "--default-backend="},
		{"a tag that looks like a number", append(eks(t), "--set=defaultTags.cost=42"), "--aws-default-tags=cost=42"},
		{"a number in a file", inFile, "--aws-default-tags=CostCenter=1234567"},
		{"one that is not whole", inFile, "--aws-default-tags=share=0.5"},
		{"a word that YAML knows", inFile, "--aws-default-tags=billed=true"},
		{"digits that are text", inFile, "--aws-default-tags=account=0042"},
	} {
		t.Run(test.why, func(t *testing.T) {
			stream, err := template(t, test.args...)
			check.Must(t, err)
			if plain := strings.ReplaceAll(stream, `"`, ""); !strings.Contains(plain, "- "+test.want+"\n") {
				t.Errorf("there is no argument %s", test.want)
			}
		})
	}
}

// A rendering without a cluster knows of no MutatingAdmissionPolicies.
func TestPoliciesFromValues(t *testing.T) {
	for _, test := range []struct {
		why  string
		args []string
		want string
	}{
		{"nobody said what the cluster has", nil, ""},
		{"the cluster has them", []string{"--api-versions=admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy"}, "admissionregistration.k8s.io/v1beta1"},
		{"the newer version is preferred", []string{"--api-versions=admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy",
			"--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"}, "admissionregistration.k8s.io/v1"},
		{"somebody said it", []string{"--set=aws.mutatingPolicies=v1"}, "admissionregistration.k8s.io/v1"},
		{"and the older version", []string{"--set=aws.mutatingPolicies=v1beta1"}, "admissionregistration.k8s.io/v1beta1"},
		{"and that there be none", []string{"--set=aws.mutatingPolicies=none", "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"}, ""},
	} {
		t.Run(test.why, func(t *testing.T) {
			var got []string
			for _, o := range objects(t, append(eks(t), test.args...)...) {
				if strings.HasPrefix(o.GetKind(), "MutatingAdmissionPolicy") {
					got = append(got, o.GetAPIVersion())
				}
			}
			var want []string
			if test.want != "" {
				want = []string{test.want, test.want, test.want, test.want}
			}
			if !slices.Equal(got, want) {
				t.Errorf("the policies and their bindings are of %v, want %v", got, want)
			}
		})
	}
}

// TestLongNames: a Service may have a shorter name than other objects.
func TestLongNames(t *testing.T) {
	const longest = 63
	services := 0
	for _, o := range objects(t, "--set=prometheus.serviceMonitor.enabled=true", "--set=fullnameOverride="+strings.Repeat("x", 50)) {
		if o.GetKind() != "Service" {
			continue
		}
		services++
		if name := o.GetName(); len(name) > longest {
			t.Errorf("a Service has the name %s, of %d characters", name, len(name))
		}
	}
	if services != 2 {
		t.Errorf("%d Services, want 2", services)
	}
}

// TestSchemaIsWhole finds values that the schema lacks or does not describe, and
// those that values.yaml does not list.
func TestSchemaIsWhole(t *testing.T) {
	var values map[string]any
	read(t, "values.yaml", func(text []byte) error { return yaml.UnmarshalStrict(text, &values) })
	var schema map[string]any
	read(t, "values.schema.json", func(text []byte) error { return json.Unmarshal(text, &schema) })
	compare(t, "", schema, values)
}

func read(t *testing.T, name string, parse func([]byte) error) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir(t), name))
	check.Must(t, err)
	check.Must(t, parse(text))
}

// optional are values that replace others of the same object.
var optional = map[string]bool{".global": true, ".controller.podDisruptionBudget.minAvailable": true,
	".speaker.updateStrategy.rollingUpdate.maxSurge": true}

func compare(t *testing.T, path string, schema, values map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	for name, property := range properties {
		property := property.(map[string]any)
		at := path + "." + name
		if property["description"] == nil {
			t.Errorf("%s has no description in the schema", at)
		}
		value, ok := values[name]
		if !ok && !optional[at] {
			t.Errorf("%s is not in values.yaml", at)
		}
		if inner, ok := value.(map[string]any); ok && property["properties"] != nil {
			compare(t, at, property, inner)
		}
	}
	for name := range values {
		if properties[name] == nil {
			t.Errorf("%s.%s is not in the schema", path, name)
		}
	}
}
