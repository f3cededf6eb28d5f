// Package install tells stories of who installs Berth, by Helm and the chart:
// the pods of its workloads run as processes, and what makes them is real.
package install
