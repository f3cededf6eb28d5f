//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-lb/berth/e2e/cluster"
)

func hintKeep() {
	fmt.Print("\nAll of it is as it should be. To look around in there: make demo KEEP=1\n")
}

// hintKept says what there is to do on a stage that stays.
func (s *stage) hintKept() {
	fmt.Printf(`
All of it is as it should be, and stays up until Ctrl-C. In another terminal, in
the repository's top folder:

%s  export KUBECONFIG=%s
  alias kubectl="$PWD/bin/kube kubectl"

Have the Service that asked for an address of no pool ask for a free one:

  kubectl annotate -n demo service outside --overwrite metallb.io/loadBalancerIPs=172.30.0.244
  kubectl get -n demo service outside

Take the pods away from the Services, and see them say so:

  kubectl label -n demo pods --all --overwrite app=gone
  kubectl get -n demo service plain -o yaml
  kubectl label -n demo pods --all --overwrite app=app

One more Service, and the events that tell its story:

  kubectl create -n demo service loadbalancer mine --tcp=80:8080
  kubectl set selector -n demo service mine app=app
  kubectl describe -n demo service mine
`, s.entry(), s.kube.Kubeconfig())
	if s.lan != nil {
		s.hintLAN()
	}
	fmt.Printf("\nLogs and data are in %s.\n", s.kube.Dir())
}

func (s *stage) hintLAN() {
	client := s.lan.Clients[0]
	fmt.Printf(`
Ask for a page as the client on the network, and see whom it has to thank:

  lan=%s
  ip netns exec ${lan}%s curl http://ADDRESS/
  ip netns exec ${lan}%s ip neigh
  kubectl get servicel2statuses -n berth-system

Pull the network cable of a node that announces, such as node1, and plug it in again:

  ip netns exec ${lan}switch ip link set node1 down
  ip netns exec ${lan}switch ip link set node1 up
`, strings.TrimSuffix(filepath.Base(client.Netns()), client.Name), client.Name, client.Name)
	for _, r := range s.lan.Routers {
		fmt.Printf(`
Ask for a page from behind the router, and see where the router sends it:

  kubectl get -n demo service routed
  ip netns exec ${lan}%s curl http://ADDRESS/
  ip netns exec ${lan}%s ip route show proto bgp
  kubectl get bgpnodestatuses -n berth-system -o yaml
`, r.Remote.Name, r.Name)
	}
}

// entry are the commands that lead into the namespaces of this process, for a
// user whose demo has its own; none where a terminal is in them already.
func (s *stage) entry() string {
	mine, err := os.Readlink("/proc/self/ns/net")
	// Those of a parent outside of the user namespace are not for us to read.
	parents, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", os.Getppid()))
	root, rootErr := cluster.Root()
	if s.lan == nil || err != nil || rootErr != nil || mine == parents {
		return ""
	}
	return fmt.Sprintf("  nsenter --target %d --user --preserve-credentials --net --mount\n  cd %s\n", os.Getpid(), root)
}
