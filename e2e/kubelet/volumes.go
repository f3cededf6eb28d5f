//go:build linux

package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/container"
)

// accountPath is where programs look for how to reach the API server.
const accountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// mounts are the volumes of a container, and the token of its ServiceAccount
// unless it wants none.
func (r *Runtime) mounts(ctx context.Context, dir string, pod *corev1.Pod, c *corev1.Container) (all []container.Mount, err error) {
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 || pod.Spec.Volumes[i].EmptyDir == nil {
			return nil, fmt.Errorf("the volume %s is not known here", m.Name)
		}
		all = append(all, container.Mount{Target: m.MountPath, ReadOnly: m.ReadOnly})
	}
	if auto := pod.Spec.AutomountServiceAccountToken; auto != nil && !*auto {
		return all, nil
	}
	account := filepath.Join(dir, "serviceaccount")
	if err := r.writeAccount(ctx, account, pod); err != nil {
		return nil, err
	}
	return append(all, container.Mount{Source: account, Target: accountPath, ReadOnly: true}), nil
}

// writeAccount makes what the volume of a ServiceAccount holds.
func (r *Runtime) writeAccount(ctx context.Context, at string, pod *corev1.Pod) error {
	name := pod.Spec.ServiceAccountName
	if name == "" {
		name = "default"
	}
	config, err := r.Kube.ServiceAccountConfig(ctx, pod.Namespace, name)
	if err != nil {
		return err
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	for file, data := range map[string]string{
		"token": config.BearerToken, "ca.crt": string(config.CAData), "namespace": pod.Namespace,
	} {
		if err := os.WriteFile(filepath.Join(at, file), []byte(data), 0o644); err != nil {
			return err
		}
	}
	return nil
}
