// Command berth-speaker announces from one node the addresses that Services of
// type LoadBalancer have.
package main

import (
	"os"

	"github.com/berth-lb/berth/cmd/berth-speaker/app"
)

func main() { os.Exit(app.Main()) }
