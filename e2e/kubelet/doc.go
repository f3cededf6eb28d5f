// Package kubelet runs the pods of Berth as processes of this machine, for a
// lab: it stands in for a scheduler, and for the kubelet of every node with its
// container runtime. What makes the pods, and what Helm waits for, is real.
package kubelet
