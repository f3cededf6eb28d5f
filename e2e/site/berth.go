//go:build linux

package site

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/berth-lb/berth/e2e/kubelet"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/release"
)

// berth is what the chart makes of Berth.
type berth struct {
	runtime             kubelet.Runtime
	controller, speaker corev1.PodTemplateSpec
}

// apply has the API server know what the chart makes: accounts, roles, and
// workloads, which nothing here turns into pods.
func (s *Site) apply(ctx context.Context) error {
	image, err := kubelet.Built(s.opts.Suffix)
	if err != nil {
		return err
	}
	s.berth.runtime = kubelet.Runtime{Kube: s.Kube, Image: image}
	stream, err := release.Render(ctx, s.values()...)
	if err != nil {
		return err
	}
	objects, err := s.Kube.Apply(ctx, stream)
	if err != nil {
		return err
	}
	for _, o := range objects {
		var err error
		switch o.GetKind() {
		case "Deployment":
			var d appsv1.Deployment
			err = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d)
			s.berth.controller = d.Spec.Template
		case "DaemonSet":
			var d appsv1.DaemonSet
			err = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d)
			s.berth.speaker = d.Spec.Template
		}
		if err != nil {
			return fmt.Errorf("reading the chart's %s: %w", o.GetKind(), err)
		}
	}
	return nil
}

// values are those of the chart that a site differs in: pods are behind
// interfaces of nodes, and many controllers share one network.
func (s *Site) values() []string {
	flags := func(key string, flags ...string) string {
		text, _ := json.Marshal(flags)
		return "--set-json=" + key + ".extraArgs=" + string(text)
	}
	all := []string{
		"--set=speaker.excludeInterfaces=lo|pod.*",
		flags("speaker", s.opts.SpeakerFlags...),
		flags("controller", "--metrics-bind-address=0", "--health-probe-bind-address=0"),
	}
	for _, value := range s.opts.Values {
		all = append(all, "--set="+value)
	}
	return all
}

func (s *Site) startController(ctx context.Context) error {
	pod := podOf(s.berth.controller, "berth-controller", "")
	program, err := s.berth.runtime.Program(ctx, pod, &pod.Spec.Containers[0])
	if err != nil {
		return err
	}
	s.Controller, err = s.Kube.RunProgram(context.Background(), "berth-controller"+s.opts.Suffix, program)
	return err
}

// Logs are the files that hold what Berth's programs say.
func (s *Site) Logs() []string {
	paths := []string{s.Controller.LogFile()}
	for _, p := range s.Speakers {
		paths = append(paths, p.LogFile())
	}
	return paths
}

// RunSpeaker starts a speaker on a node, be it a second one.
func (s *Site) RunSpeaker(n *lab.Node) (*lab.Program, error) {
	pod := podOf(s.berth.speaker, "berth-speaker-"+n.Name, n.Name)
	program, err := s.berth.runtime.Program(context.Background(), pod, &pod.Spec.Containers[0])
	if err != nil {
		return nil, err
	}
	return n.RunProgram("berth-speaker"+s.opts.Suffix, program)
}

// podOf is a pod as a workload would make it, apart from its object.
func podOf(template corev1.PodTemplateSpec, name, node string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name}, Spec: *template.Spec.DeepCopy()}
	pod.Spec.NodeName = node
	return pod
}
