//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// stage is where the demo plays: all but the Services is there.
type stage struct {
	kube       *cluster.Cluster
	api        client.WithWatch
	controller *cluster.Process
	// lan is nil where this machine can't have one.
	lan *site.Site
	// software is what the router of the network runs; noRouter is why there is
	// no router.
	software lab.Software
	noRouter error
}

// build sets the stage, with a network where this machine can have one. In CI
// it must.
func build(ctx context.Context) (*stage, error) {
	err := lab.Available()
	switch {
	case err == nil:
		return buildLAN(ctx)
	case os.Getenv("CI") == "true":
		return nil, err
	}
	fmt.Printf("No power cut today, only the control plane: %v.\n\n", err)
	return buildAlone(ctx)
}

func buildLAN(ctx context.Context) (*stage, error) {
	fmt.Println("Berth at work, in a Kubernetes cluster of its own: a control plane, and a LAN of")
	fmt.Println("network namespaces with four nodes and a client.")
	fmt.Println()
	software, noRouter := routerSoftware()
	options := site.Options{Nodes: 4, WithoutSpeakers: true}
	switch {
	case noRouter == nil:
		options.Routers = []lab.RouterOptions{{Software: software}}
	case os.Getenv("CI") == "true":
		return nil, noRouter
	}
	began := time.Now()
	lan, err := site.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	s := &stage{kube: lan.Kube, api: lan.API, controller: lan.Controller, lan: lan, software: software, noRouter: noRouter}
	if err := s.furnish(ctx, began); err != nil {
		err = s.explain(ctx, err)
		s.close()
		return nil, err
	}
	return s, nil
}

// furnish starts the pods and the speakers.
func (s *stage) furnish(ctx context.Context, began time.Time) error {
	if err := s.awaitController(ctx); err != nil {
		return err
	}
	step(began, "control plane, nodes with kube-proxy, CRDs, a pool and berth-controller are there")
	began = time.Now()
	if err := s.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	node := s.lan.Nodes[len(s.lan.Nodes)-1]
	if err := s.exclude(ctx, node); err != nil {
		return err
	}
	for _, name := range []string{"app-1", "app-2"} {
		if _, err := node.StartPod(ctx, namespace, name, "app"); err != nil {
			return err
		}
	}
	step(began, "two pods run on "+node.Name)
	began = time.Now()
	if err := s.lan.StartSpeakers(ctx); err != nil {
		return err
	}
	step(began, "berth-speaker is at work on every node")
	fmt.Printf("\n%s is labelled %s:\n"+
		"it announces nothing and keeps its power, since a dead node's pods are lost whoever announces.\n",
		node.Name, corev1.LabelNodeExcludeBalancers)
	return nil
}

// exclude has a node announce nothing.
func (s *stage) exclude(ctx context.Context, n *lab.Node) error {
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"true"}}}`, corev1.LabelNodeExcludeBalancers)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
	if err := s.api.Patch(ctx, node, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("labelling %s: %w", n.Name, err)
	}
	return nil
}

func (s *stage) close() {
	if s.lan != nil {
		s.lan.Stop()
		return
	}
	s.kube.Stop()
}

// explain shows what the programs said last, before err is shown. Who interrupts
// the demo needs no explanation.
func (s *stage) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if s.controller != nil {
		fmt.Fprintf(os.Stderr, "\nthe last lines of berth-controller:\n%s\n", s.controller.Tail(20))
	}
	if s.lan == nil {
		return err
	}
	for i, speaker := range s.lan.Speakers {
		fmt.Fprintf(os.Stderr, "the last lines of berth-speaker on %s:\n%s\n", s.lan.Nodes[i].Name, speaker.Tail(10))
	}
	for _, router := range s.lan.Routers {
		fmt.Fprintf(os.Stderr, "the last lines of %s:\n%s\n", router.Name, router.Log(10))
	}
	return err
}
