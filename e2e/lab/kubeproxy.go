//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/berth-lb/berth/e2e/cluster"
)

// KubeProxyHealth is the port of a node where kube-proxy serves /healthz.
const KubeProxyHealth = 10256

// openGateway lets the node reach the API server.
func (n *Node) openGateway() error {
	server, err := n.lab.apiServer()
	if err != nil {
		return err
	}
	n.api, err = newGateway(n.ns, server)
	return err
}

// apiServer is the address and port where it listens.
func (l *Lab) apiServer() (string, error) {
	server, err := url.Parse(l.opts.Cluster.Config().Host)
	if err != nil {
		return "", err
	}
	return server.Host, nil
}

func (n *Node) startKubeProxy() error {
	kube, err := cluster.Built("kube")
	if err != nil {
		return err
	}
	n.proxy, err = n.lab.run(n.Name, n.ns, nil, kube, "kube-proxy",
		"--proxy-mode=nftables",
		"--kubeconfig="+n.lab.opts.Cluster.Kubeconfig(),
		"--hostname-override="+n.Name,
		"--cluster-cidr="+PodCIDRs,
		fmt.Sprintf("--healthz-bind-address=0.0.0.0:%d", KubeProxyHealth),
		// These sysctls are the machine's, not the node's.
		"--conntrack-max-per-core=0",
		"--conntrack-tcp-timeout-established=0",
		"--conntrack-tcp-timeout-close-wait=0",
	)
	return err
}

// KubeProxy is the node's kube-proxy.
func (n *Node) KubeProxy() *Program { return n.proxy }

// waitKubeProxy returns when kube-proxy has written its rules.
func (n *Node) waitKubeProxy(ctx context.Context) error {
	address := fmt.Sprintf("http://127.0.0.1:%d/healthz", KubeProxyHealth)
	healthy := func(ctx context.Context) (bool, error) {
		if !n.proxy.Running() {
			return false, errors.New("it ended")
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		status, _, err := n.Get(ctx, address)
		return err == nil && status == http.StatusOK, nil
	}
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, Patience, true, healthy)
	if err != nil {
		return fmt.Errorf("waiting for kube-proxy on %s: %w; the end of its log, %s:\n%s",
			n.Name, err, n.proxy.LogFile(), n.proxy.Tail(10))
	}
	return nil
}
