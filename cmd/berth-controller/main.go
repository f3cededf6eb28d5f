// Command berth-controller is the control plane of Berth: it gives Services of
// type LoadBalancer their addresses.
package main

import (
	"os"

	"github.com/berth-lb/berth/cmd/berth-controller/app"
)

func main() { os.Exit(app.Main()) }
