// Package acceptance tells what a user sees of an installed Berth: each test is a
// set of stories that know a kubeconfig, a client outside of the cluster, and
// nothing of how cluster or Berth were made.
//
// By themselves they run in the lab. With -cluster they run against any cluster:
//
//	go test ./acceptance -run 'TestPool$' -cluster ~/.kube/config -pool 172.18.255.200-172.18.255.250
//
// The flag has to be given, so that nobody's own cluster is found by accident.
package acceptance
