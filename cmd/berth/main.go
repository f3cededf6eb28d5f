// Command berth is berth-controller and berth-speaker in one file, each by the
// name that it is called by: the image holds it under both names, in little more
// than half of what two files would take.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	controller "github.com/berth-lb/berth/cmd/berth-controller/app"
	speaker "github.com/berth-lb/berth/cmd/berth-speaker/app"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "berth-controller":
		os.Exit(controller.Main())
	case "berth-speaker":
		os.Exit(speaker.Main())
	default:
		fmt.Fprintf(os.Stderr, "%s: is either of two commands, by its name: link it to berth-controller and berth-speaker\n", name)
		os.Exit(2)
	}
}
