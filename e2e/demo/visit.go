//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// speakerHealth is the port of a node where the speaker serves /readyz.
const speakerHealth = 7474

// visit is one address, and the client that uses it.
type visit struct {
	*stage
	client  *lab.Client
	address netip.Addr
	url     string
}

func (s *stage) visit(by *lab.Client, service *corev1.Service) visit {
	address := site.Addresses(service)[0]
	return visit{stage: s, client: by, address: address, url: fmt.Sprintf("http://%s/", address)}
}

// get shows one request and its answer: the first one that there is, since
// kube-proxy gathers changes for up to a second before it writes its rules.
func (v visit) get(ctx context.Context) error {
	var status int
	var pod string
	err := v.lan.Await(ctx, v.url+" is answered", func(ctx context.Context) (ok bool, err error) {
		ctx, cancel := context.WithTimeout(ctx, beat)
		defer cancel()
		status, pod, err = v.client.Get(ctx, v.url)
		return err == nil && status == http.StatusOK, err
	})
	if err != nil {
		return err
	}
	fmt.Printf("%s$ GET %s\n%d %s", v.client.Name, v.url, status, pod)
	return nil
}

// awaitSpeaker returns when the speaker of a node is at work.
func (s *stage) awaitSpeaker(ctx context.Context, n *lab.Node) error {
	url := fmt.Sprintf("http://127.0.0.1:%d/readyz", speakerHealth)
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		status, _, err := n.Get(ctx, url)
		return err == nil && status == http.StatusOK, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for berth-speaker on %s: %w", n.Name, err)
	}
	return nil
}
