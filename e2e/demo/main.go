//go:build linux

// Command demo shows Berth at work: in a Kubernetes cluster of its own, Services
// of several kinds get addresses; then a client on the same network uses one,
// while the node that answers for it loses power and its speaker is restarted;
// and the same with a client behind a router, which knows an address by BGP.
// It fails if what it shows is not as it should be.
//
// With BACKEND=aws in the environment it is about Network Load Balancers instead:
// what is called at AWS for Services, and taking over from the AWS Load Balancer
// Controller.
//
// With KEEP=1 in the environment everything stays up until Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/berth-lb/berth/e2e/lab"
)

// patience is how long a step may take.
const patience = 60 * time.Second

func main() {
	backend := os.Getenv("BACKEND")
	if backend != "aws" { // which needs no network of its own
		lab.Main()
	}
	run, ok := backends[backend]
	if !ok {
		fmt.Fprintf(os.Stderr, "demo: BACKEND: %q is not allowed; allowed are pool, which is the default, and aws\n", backend)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetLogger(logr.Discard())
	err := run(ctx)
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// backends are what there is to see, by the backend that it is about.
var backends = map[string]func(context.Context) error{"": runPool, "pool": runPool, "aws": runAWS}

func runPool(ctx context.Context) error {
	s, err := build(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := play(ctx, s); err != nil {
		return s.explain(ctx, err)
	}
	if os.Getenv("KEEP") == "" {
		hintKeep()
		return nil
	}
	s.hintKept()
	return keep(ctx, s)
}

// play shows all that can be shown on the stage.
func play(ctx context.Context, s *stage) error {
	if err := s.giveAddresses(ctx); err != nil || s.lan == nil {
		return err
	}
	f, err := s.useAddress(ctx)
	if err != nil {
		return err
	}
	for _, scene := range []func(context.Context) error{f.cutPower, f.restorePower, f.restartSpeaker} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return s.playRouted(ctx)
}

// keep returns when the user has seen enough.
func keep(ctx context.Context, s *stage) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.controller.Done():
		return s.explain(ctx, errors.New("berth-controller ended"))
	}
}
