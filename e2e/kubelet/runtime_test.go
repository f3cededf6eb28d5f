//go:build linux

package kubelet

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/berth-lb/berth/e2e/container"
)

func TestRestrict(t *testing.T) {
	for _, tc := range []struct {
		reason string
		pod    corev1.PodSecurityContext
		of     corev1.SecurityContext
		want   container.Spec
		fails  string
	}{
		{"nothing said: the image's user, and what runtimes give",
			corev1.PodSecurityContext{}, corev1.SecurityContext{},
			container.Spec{User: 65532, Group: 65532, Capabilities: container.Default}, ""},
		{"the container's word comes before the pod's",
			corev1.PodSecurityContext{RunAsUser: new(int64(1))}, corev1.SecurityContext{RunAsUser: new(int64(2)), RunAsGroup: new(int64(3))},
			container.Spec{User: 2, Group: 3, Capabilities: container.Default}, ""},
		{"root by name, where that is refused",
			corev1.PodSecurityContext{RunAsNonRoot: new(true)}, corev1.SecurityContext{RunAsUser: new(int64(0))},
			container.Spec{}, "must not run as root"},
		{"all but one capability dropped",
			corev1.PodSecurityContext{}, corev1.SecurityContext{
				ReadOnlyRootFilesystem: new(true), AllowPrivilegeEscalation: new(false),
				Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_RAW"}},
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			container.Spec{User: 65532, Group: 65532, ReadOnly: true, NoNewPrivileges: true, Seccomp: true, Capabilities: []string{"NET_RAW"}}, ""},
		{"privileged", corev1.PodSecurityContext{}, corev1.SecurityContext{Privileged: new(true)}, container.Spec{}, "privileged"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			var got container.Spec
			err := restrict(&got, &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &tc.pod}}, &corev1.Container{SecurityContext: &tc.of})
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("got %v, want %q", err, tc.fails)
				}
				return
			}
			if err != nil || !slices.Equal(got.Capabilities, tc.want.Capabilities) || got.User != tc.want.User || got.Group != tc.want.Group ||
				got.ReadOnly != tc.want.ReadOnly || got.NoNewPrivileges != tc.want.NoNewPrivileges || got.Seccomp != tc.want.Seccomp {
				t.Errorf("got %+v and %v, want %+v", got, err, tc.want)
			}
		})
	}
}

func TestValueFrom(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node1"}}
	c := &corev1.Container{Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("300Mi")}}}
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	amount := func(name, divisor string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: name, Divisor: resource.MustParse(divisor)}}
	}
	for _, tc := range []struct {
		reason string
		from   *corev1.EnvVarSource
		want   string
		fails  bool
	}{
		{"the node's name", field("spec.nodeName"), "node1", false},
		{"a field that is not known", field("metadata.labels"), "", true},
		{"a limit in bytes", amount("limits.memory", "0"), "314572800", false},
		{"a limit in another unit", amount("limits.memory", "1Mi"), "300", false},
		{"a limit that is not there", amount("limits.cpu", "0"), "", true},
	} {
		got, err := valueFrom(tc.from, pod, c)
		if got != tc.want || (err != nil) != tc.fails {
			t.Errorf("%s: got %q and %v", tc.reason, got, err)
		}
	}
}

func TestExpanded(t *testing.T) {
	got := expanded([]string{"--node=$(NODE)", "$(OTHER)"}, []string{"NODE=node1"})
	if !slices.Equal(got, []string{"--node=node1", "$(OTHER)"}) {
		t.Errorf("got %v", got)
	}
}
