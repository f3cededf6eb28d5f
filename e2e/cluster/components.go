package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/berth-lb/berth/e2e/access"
)

// Ranges of the cluster IPs, IPv4 first.
const ServiceCIDRs = "10.96.0.0/16,fd00:96::/108"

// etcdSocket is relative to the cluster's directory, where etcd and
// kube-apiserver run: paths of sockets must be short, and nobody else can
// reach it.
const etcdSocket = "unix://etcd.sock"

var errPortTaken = errors.New("the port is taken")

// writeKeys writes what kube-apiserver proves itself and knows others by.
func (c *Cluster) writeKeys() error {
	serving, err := c.ca.Serving("127.0.0.1", "localhost")
	if err != nil {
		return err
	}
	tokens, err := access.NewKey()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"ca.crt":     c.ca.PEM,
		"server.crt": serving.Cert,
		"server.key": serving.Key,
		"tokens.key": tokens,
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(c.dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) component(name string, args ...string) (*Process, error) {
	return start(context.Background(), spec{
		name:   name,
		dir:    c.dir,
		log:    filepath.Join(c.dir, name+".log"),
		binary: c.opts.Binary,
		args:   append([]string{name}, args...),
	})
}

func (c *Cluster) startEtcd() (err error) {
	const peer = "unix://peer.sock"
	c.etcd, err = c.component("etcd",
		"--data-dir=etcd",
		"--unsafe-no-fsync",
		"--listen-client-urls="+etcdSocket,
		"--advertise-client-urls="+etcdSocket,
		"--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer,
		"--initial-cluster=default="+peer,
		"--log-level=warn",
	)
	return err
}

func (c *Cluster) startAPIServerOnFreePort(ctx context.Context) error {
	var err error
	for range 3 {
		if c.port, err = access.FreePort(); err != nil {
			return err
		}
		if c.admin, err = c.ConfigFor("admin", "system:masters"); err != nil {
			return err
		}
		if err = access.WriteKubeconfig(c.Kubeconfig(), c.admin); err != nil {
			return err
		}
		if err = c.startAPIServer(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	audit, err := c.auditArgs()
	if err != nil {
		return err
	}
	c.apiServer, err = c.component("kube-apiserver", append([]string{
		"--etcd-servers=" + etcdSocket,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		// The default refuses to advertise loopback.
		"--endpoint-reconciler-type=none",
		fmt.Sprintf("--secure-port=%d", c.port),
		"--tls-cert-file=server.crt",
		"--tls-private-key-file=server.key",
		"--client-ca-file=ca.crt",
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=tokens.key",
		"--service-account-signing-key-file=tokens.key",
		"--service-cluster-ip-range=" + ServiceCIDRs,
		// There is no kubelet to read a pod's token, and no controller to
		// take the taint off a new node.
		"--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
		"--max-requests-inflight=2000",
		"--max-mutating-requests-inflight=1000",
		"--profiling=false",
	}, slices.Concat(audit, c.opts.APIServerArgs)...)...)
	if err != nil {
		return err
	}
	return c.waitReady(ctx)
}

// Controllers that a lab needs, and those that turn workloads into pods.
const (
	controllers         = "endpointslice-controller,namespace-controller,garbage-collector-controller,serviceaccount-controller"
	workloadControllers = ",deployment-controller,replicaset-controller,daemonset-controller,job-controller,disruption-controller"
)

func (c *Cluster) startControllerManager() (err error) {
	which := controllers
	if c.opts.Workloads {
		which += workloadControllers
	}
	c.controllerManager, err = c.component("kube-controller-manager",
		"--kubeconfig="+c.Kubeconfig(),
		"--controllers="+which,
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
	)
	return err
}

// waitReady returns when kube-apiserver says that it is ready, and the
// namespace that it makes right after is there.
func (c *Cluster) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	client, err := rest.HTTPClientFor(c.admin)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !answers(ctx, client, c.admin.Host+"/readyz") ||
		!answers(ctx, client, c.admin.Host+"/api/v1/namespaces/default") {
		select {
		case <-tick.C:
		case <-c.etcd.Done():
			return failure(c.etcd, "ended")
		case <-c.apiServer.Done():
			return c.apiServerEnded()
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), failure(c.apiServer, "is not ready"))
		}
	}
	return nil
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (c *Cluster) apiServerEnded() error {
	err := failure(c.apiServer, "ended")
	if strings.Contains(err.Error(), "address already in use") {
		return errors.Join(errPortTaken, err)
	}
	return err
}

func failure(p *Process, what string) error {
	return fmt.Errorf("%s %s; the end of its log, %s:\n%s", p.name, what, p.log, p.Tail(20))
}
