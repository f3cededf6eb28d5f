package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/berth-lb/berth/image/assemble"
	"github.com/berth-lb/berth/image/compile"
	"github.com/berth-lb/berth/image/layer"
	"github.com/berth-lb/berth/image/license"
	"github.com/berth-lb/berth/image/roots"
	"github.com/berth-lb/berth/image/sbom"
)

// limit is what an image may take at most, unpacked.
const limit = 60_000_000

// rootsModule is where the root certificates come from.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// architectures are all that there are images for.
var architectures = []string{"amd64", "arm64"}

// build is all that comes of one version of the sources.
type build struct {
	programs []compile.Program
	images   []v1.Image
	index    v1.ImageIndex
	modules  []license.Module
}

// makeBuild compiles and assembles; the programs are left in the folder. What is
// in env is for the compiler.
func makeBuild(ctx context.Context, source string, archs []string, folder string, env ...string) (build, error) {
	b := build{}
	var err error
	if b.modules, err = modules(ctx, source); err != nil {
		return build{}, err
	}
	for _, arch := range archs {
		path, err := filepath.Abs(filepath.Join(folder, "berth-"+arch))
		if err != nil {
			return build{}, err
		}
		program, err := compile.Run(ctx, source, arch, path, env...)
		if err != nil {
			return build{}, err
		}
		image, err := assemble.Image(program, []layer.File{
			{Path: roots.Path, Content: roots.PEM()},
			{Path: "licenses/third-party.txt", Content: []byte(license.Report(b.modules))},
		})
		if err != nil {
			return build{}, err
		}
		b.programs, b.images = append(b.programs, program), append(b.images, image)
	}
	b.index = assemble.Index(b.programs, b.images)
	return b, nil
}

// modules are those of all images, under licenses that are allowed. They do not
// depend on which images are built, so that each is the same with and without
// the others.
func modules(ctx context.Context, source string) ([]license.Module, error) {
	var lists [][]license.Module
	for _, arch := range architectures {
		list, err := license.Collect(ctx, source, compile.Package, compile.Environ(arch))
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	certificates, err := license.Collect(ctx, ".", rootsModule+"/bundle", compile.Environ(architectures[0]))
	if err != nil {
		return nil, err
	}
	all := license.Merge(append(lists, certificates)...)
	var problems []error
	for _, m := range all {
		problems = append(problems, m.Problem())
	}
	return all, errors.Join(problems...)
}

// buildAll is the command build.
func buildAll(ctx context.Context, o options) error {
	if err := os.MkdirAll(o.folder, 0o755); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	b, err := makeBuild(ctx, o.source, o.archs, o.folder)
	if err != nil {
		return err
	}
	tag := o.tag
	if tag == "" {
		tag = tagOf(b.programs[0].Version())
	}
	ref, err := name.NewTag(o.repository + ":" + tag)
	if err != nil {
		return fmt.Errorf("naming the image: %w", err)
	}
	fmt.Printf("%s, Berth %s\n", ref, b.programs[0].Version())
	for i := range b.programs {
		if err := b.write(i, ref, o.folder); err != nil {
			return err
		}
	}
	if err := writeIndex(b.index, filepath.Join(o.folder, "berth-image")); err != nil {
		return err
	}
	return b.writeLicenses(o.folder)
}

// tagOf is a version as a tag, which may have no plus.
func tagOf(version string) string { return strings.ReplaceAll(version, "+", "-") }

// write writes what there is of one architecture.
func (b build) write(i int, ref name.Tag, folder string) error {
	p, image := b.programs[i], b.images[i]
	size, err := assemble.Measure(image)
	if err != nil {
		return err
	}
	if size.Unpacked > limit {
		return fmt.Errorf("the image for %s takes %d MB unpacked; allowed are %d", p.Arch, size.Unpacked/1e6, int(limit/1e6))
	}
	path := filepath.Join(folder, "berth-image-"+p.Arch+".tar")
	if err := tarball.WriteToFile(path, ref, image); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("  %-5s  %s  %.1f MB, unpacked %.1f MB\n", p.Arch, digest, float64(size.Packed)/1e6, float64(size.Unpacked)/1e6)

	path = filepath.Join(folder, "berth-"+p.Arch+".cdx.json")
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the bill of materials: %w", err)
	}
	return errors.Join(sbom.Write(f, p, besides(), b.modules), f.Close())
}

// besides are the modules that the image has something of beside the program.
func besides() []debug.Module {
	info, _ := debug.ReadBuildInfo()
	for _, d := range info.Deps {
		if d.Path == rootsModule {
			return []debug.Module{*d}
		}
	}
	return nil
}

func writeIndex(index v1.ImageIndex, folder string) error {
	// What is left of an older build would stay in it.
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("removing an older index: %w", err)
	}
	if _, err := layout.Write(folder, index); err != nil {
		return fmt.Errorf("writing the index: %w", err)
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("  index  %s\n", digest)
	return nil
}

// checkLicenses is the command licenses.
func checkLicenses(ctx context.Context, o options) error {
	all, err := modules(ctx, o.source)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.folder, 0o755); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	return build{modules: all}.writeLicenses(o.folder)
}

func (b build) writeLicenses(folder string) error {
	path := filepath.Join(folder, "berth-licenses.txt")
	if err := os.WriteFile(path, []byte(license.Report(b.modules)), 0o644); err != nil {
		return fmt.Errorf("writing the licenses: %w", err)
	}
	fmt.Printf("  %d modules, all under licenses that are allowed: %s\n", len(b.modules), strings.Join(license.Allowed, ", "))
	return nil
}
