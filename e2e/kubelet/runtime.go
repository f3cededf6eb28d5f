//go:build linux

package kubelet

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/container"
)

// Image is what the programs in bin are as an image.
type Image struct {
	// Repository is its name without a tag. All tags are the same here.
	Repository string
	// Files are paths in the image, and those of this machine.
	Files map[string]string
}

// Built is Berth's image, of the programs in bin with that suffix, such as
// ".race".
func Built(suffix string) (Image, error) {
	image := Image{Repository: "ghcr.io/berth-lb/berth", Files: map[string]string{}}
	for _, name := range []string{"berth-controller", "berth-speaker"} {
		at, err := cluster.Built(name + suffix)
		if err != nil {
			return Image{}, err
		}
		image.Files["/"+name] = at
	}
	return image, nil
}

// Runtime turns containers of pods into programs.
type Runtime struct {
	Kube  *cluster.Cluster
	Image Image
}

// Program is a container of a pod, as a program to start in the network
// namespace of the pod: what the pod's spec says, and what a kubelet adds. The
// token of its ServiceAccount is good for an hour.
func (r *Runtime) Program(ctx context.Context, pod *corev1.Pod, c *corev1.Container) (cluster.Program, error) {
	spec, err := r.container(ctx, pod, c)
	if err != nil {
		return cluster.Program{}, fmt.Errorf("the container %s of the pod %s: %w", c.Name, pod.Name, err)
	}
	binary, env, err := spec.Command()
	return cluster.Program{Name: pod.Name + "/" + c.Name, Binary: binary, Env: env}, err
}

func (r *Runtime) container(ctx context.Context, pod *corev1.Pod, c *corev1.Container) (container.Spec, error) {
	if repository, _, _ := strings.Cut(path.Base(c.Image), ":"); path.Join(path.Dir(c.Image), repository) != r.Image.Repository {
		return container.Spec{}, fmt.Errorf("there is no image %q", c.Image)
	}
	if len(c.Command) == 0 {
		return container.Spec{}, fmt.Errorf("it names no command, and neither does the image")
	}
	dir, err := os.MkdirTemp(r.Kube.Dir(), pod.Name+"-")
	if err != nil {
		return container.Spec{}, err
	}
	spec := container.Spec{Root: filepath.Join(dir, "root"), Image: r.Image.Files}
	if err := os.Mkdir(spec.Root, 0o755); err != nil {
		return spec, err
	}
	if !pod.Spec.HostNetwork {
		spec.Hostname = pod.Name
	}
	if spec.Env, err = r.environment(pod, c); err != nil {
		return spec, err
	}
	spec.Args = expanded(slices.Concat(c.Command, c.Args), spec.Env)
	if err := restrict(&spec, pod, c); err != nil {
		return spec, err
	}
	spec.Mounts, err = r.mounts(ctx, dir, pod, c)
	return spec, err
}

// environment is all of a container's: of the runtime, of Kubernetes, and its
// own.
func (r *Runtime) environment(pod *corev1.Pod, c *corev1.Container) ([]string, error) {
	server, err := url.Parse(r.Kube.Config().Host)
	if err != nil {
		return nil, err
	}
	hostname := pod.Name
	if pod.Spec.HostNetwork {
		hostname = pod.Spec.NodeName
	}
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "HOSTNAME=" + hostname,
		"KUBERNETES_SERVICE_HOST=" + server.Hostname(), "KUBERNETES_SERVICE_PORT=" + server.Port(),
	}
	if len(c.EnvFrom) > 0 {
		return nil, fmt.Errorf("envFrom is not known here")
	}
	for _, e := range c.Env {
		value := expanded([]string{e.Value}, env)[0]
		if e.ValueFrom != nil {
			if value, err = valueFrom(e.ValueFrom, pod, c); err != nil {
				return nil, fmt.Errorf("the variable %s: %w", e.Name, err)
			}
		}
		env = append(env, e.Name+"="+value)
	}
	return env, nil
}

// valueFrom is a value of the downward API.
func valueFrom(from *corev1.EnvVarSource, pod *corev1.Pod, c *corev1.Container) (string, error) {
	switch {
	case from.FieldRef != nil:
		value, ok := map[string]string{
			"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "metadata.uid": string(pod.UID),
			"spec.nodeName": pod.Spec.NodeName, "spec.serviceAccountName": pod.Spec.ServiceAccountName,
			"status.podIP": pod.Status.PodIP, "status.hostIP": pod.Status.HostIP,
		}[from.FieldRef.FieldPath]
		if !ok {
			return "", fmt.Errorf("the field %s is not known here", from.FieldRef.FieldPath)
		}
		return value, nil
	case from.ResourceFieldRef != nil:
		kind, name, _ := strings.Cut(from.ResourceFieldRef.Resource, ".")
		list := c.Resources.Limits
		if kind == "requests" {
			list = c.Resources.Requests
		}
		amount, ok := list[corev1.ResourceName(name)]
		if !ok {
			return "", fmt.Errorf("it has no %s", from.ResourceFieldRef.Resource)
		}
		divisor := int64(1)
		if d := from.ResourceFieldRef.Divisor.Value(); d > 0 {
			divisor = d
		}
		return fmt.Sprint((amount.Value() + divisor - 1) / divisor), nil
	}
	return "", fmt.Errorf("its source is not known here")
}

// expanded puts values of variables where $(NAME) stands.
func expanded(all, env []string) []string {
	var pairs []string
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		pairs = append(pairs, "$("+name+")", value)
	}
	replace := strings.NewReplacer(pairs...)
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = replace.Replace(s)
	}
	return out
}
