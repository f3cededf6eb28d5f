//go:build linux

package kubelet

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/container"
)

// restrict takes from a container what the security contexts of pod and
// container take.
func restrict(spec *container.Spec, pod *corev1.Pod, c *corev1.Container) error {
	of, all := c.SecurityContext, pod.Spec.SecurityContext
	if of == nil {
		of = &corev1.SecurityContext{}
	}
	if all == nil {
		all = &corev1.PodSecurityContext{}
	}
	if of.Privileged != nil && *of.Privileged {
		return errors.New("a container of Berth is never privileged")
	}
	spec.User = int(*first(of.RunAsUser, all.RunAsUser, new(imageUser)))
	spec.Group = int(*first(of.RunAsGroup, all.RunAsGroup, new(imageUser)))
	if spec.User == 0 && *first(of.RunAsNonRoot, all.RunAsNonRoot, new(false)) {
		return errors.New("it must not run as root, and would")
	}
	spec.NoNewPrivileges = !*first(of.AllowPrivilegeEscalation, new(true))
	spec.ReadOnly = *first(of.ReadOnlyRootFilesystem, new(false))
	spec.Seccomp = first(of.SeccompProfile, all.SeccompProfile, new(corev1.SeccompProfile)).Type == corev1.SeccompProfileTypeRuntimeDefault
	spec.Capabilities = slices.Clone(container.Default)
	if of.Capabilities == nil {
		return nil
	}
	for _, name := range of.Capabilities.Drop {
		spec.Capabilities = slices.DeleteFunc(spec.Capabilities, func(have string) bool {
			return name == "ALL" || have == string(name)
		})
	}
	for _, name := range of.Capabilities.Add {
		if name == "ALL" {
			return fmt.Errorf("a container of Berth never asks for all capabilities")
		}
		spec.Capabilities = append(spec.Capabilities, string(name))
	}
	return nil
}

// imageUser is the user, and group, that the image names.
const imageUser int64 = 65532

// first is the first that is there.
func first[T any](all ...*T) *T {
	return all[slices.IndexFunc(all, func(one *T) bool { return one != nil })]
}
