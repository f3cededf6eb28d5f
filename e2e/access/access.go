// Package access makes what it takes to reach a server of the lab: a port on
// loopback, certificates, and the kubeconfig of a client.
package access

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Ports that Listen picks from: under those that systems give to outgoing
// connections, so that one stays free while its server is away for a while,
// and under the node ports.
const firstPort, lastPort = 20000, 29999

// Listen takes a free port of loopback.
func Listen() (net.Listener, error) {
	var errs error
	for range 20 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return ln, nil
		}
		errs = errors.Join(errs, err)
	}
	return nil, fmt.Errorf("looking for a free port of loopback: %w", errs)
}

// FreePort returns a port of loopback that nothing listens on, for a program
// that has to be told one. Another may take it first.
func FreePort() (int, error) {
	ln, err := Listen()
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// WriteKubeconfig writes the file that gives kubectl and others the access
// that cfg gives.
func WriteKubeconfig(path string, cfg *rest.Config) error {
	const name = "berth"
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{name: {
			Server:                   cfg.Host,
			CertificateAuthorityData: cfg.CAData,
		}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			ClientCertificateData: cfg.CertData,
			ClientKeyData:         cfg.KeyData,
			Token:                 cfg.BearerToken,
		}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)
	if err != nil {
		return fmt.Errorf("writing the kubeconfig %s: %w", path, err)
	}
	return nil
}
