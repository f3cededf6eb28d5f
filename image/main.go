// Command image makes Berth's image without a container runtime, and what goes
// with it: the bill of materials and the licenses.
//
//	image build        into a folder: a file to load for each architecture, an index of them to push
//	image push         that index to a registry
//	image reproducible builds one commit twice, in two places, and compares
//	image licenses     only the licenses
//
// It runs in its own folder, through which the root certificates are found.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "image:", err)
		}
		os.Exit(1)
	}
}

// options are the flags; each command looks at those that it needs.
type options struct {
	source, folder, repository, tag string
	archs                           []string
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, options) error{
		"build": buildAll, "push": push, "reproducible": reproducible, "licenses": checkLicenses,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("the first argument has to be build, push, reproducible or licenses")
	}
	o, archs := options{}, ""
	flags := flag.NewFlagSet("image "+args[0], flag.ContinueOnError)
	flags.StringVar(&o.source, "source", "..", "folder of the sources")
	flags.StringVar(&o.folder, "folder", "../bin", "where it all is written to, or read from")
	flags.StringVar(&o.repository, "repository", "ghcr.io/berth-lb/berth", "repository of the image")
	flags.StringVar(&o.tag, "tag", "", "tag of the image; empty for the version of the program")
	flags.StringVar(&archs, "archs", strings.Join(architectures, ","), "architectures")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not understood; there are only flags after %s", flags.Arg(0), args[0])
	}
	o.archs = strings.Split(archs, ",")
	return commands[args[0]](ctx, o)
}
