// Package lab is a LAN on one machine, for tests, the demo and benchmarks:
// network namespaces are its switch, nodes, clients and pods, and every node
// has a kube-proxy that is real.
//
// # Hook
//
// A program or test binary that starts a lab calls [Main] before all else, in
// main or in TestMain: the lab starts the same binary again as the server in a
// pod and, for a plain user, inside a user namespace.
//
// # Addresses
//
// All stations are on 172.30.0.0/16 and fd00:30::/64: node1 is 172.30.0.11 and
// fd00:30::11, client1 is 172.30.0.101 and fd00:30::101. [Pool] and [LargePool]
// are free for Services. The one interface of a station is eth0; a node has one
// more for every pod behind it, pod1 and so on. The pods of node1 are in
// 10.244.1.0/24 and fd00:244:1::/64.
//
// Routers are stations as well: router1 is 172.30.0.1 and fd00:30::1. Behind it,
// on its eth1, is a network of its own with the client remote1: 172.31.1.101
// and fd00:31:1::101. Nodes know the way there; what else a router knows of, it
// learned by BGP. [RoutedPool] and [AggregatePool] are for that.
//
// # The API server
//
// It listens on loopback of the machine. The same address and port of every
// node's own loopback lead there, through this process and past the segment,
// so that each kubeconfig of the cluster is good on a node too, and no
// interface of a node is there for management only. [Node.CutAPI] takes that
// way from a node, and leaves it the segment.
package lab
