// Package assemble puts images together, one for each architecture and an index
// of them, from nothing: there is no base image.
package assemble

import (
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/berth-lb/berth/image/compile"
	"github.com/berth-lb/berth/image/layer"
)

// User is nobody in particular, and not root. Whoever needs root, as the speaker
// does, has to say so.
const User = "65532:65532"

// controller is the file of the program, speaker another name of it.
const (
	controller = "berth-controller"
	speaker    = "berth-speaker"
)

// Image returns the image of one architecture: the program, and beside it the
// files, which change less often and so are a layer of their own.
func Image(p compile.Program, files []layer.File) (v1.Image, error) {
	program, err := os.ReadFile(p.Path)
	if err != nil {
		return nil, fmt.Errorf("reading what was compiled: %w", err)
	}
	image, err := configured(p)
	if err != nil {
		return nil, fmt.Errorf("configuring the image: %w", err)
	}
	for _, l := range []struct {
		what  string
		files []layer.File
	}{
		{"certificates and licenses", files},
		{"the program", []layer.File{
			{Path: controller, Content: program, Executable: true},
			{Path: speaker, LinkTo: controller, Executable: true},
		}},
	} {
		made, err := layer.New(l.files, p.Time())
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{
			Layer:   made,
			History: v1.History{CreatedBy: "make image", Comment: l.what, Created: v1.Time{Time: p.Time()}},
		})
		if err != nil {
			return nil, fmt.Errorf("adding a layer: %w", err)
		}
	}
	return annotated(image, p).(v1.Image), nil
}

func configured(p compile.Program) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	platform := platform(p.Arch)
	return mutate.ConfigFile(image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		Created: v1.Time{Time: p.Time()},
		RootFS:  v1.RootFS{Type: "layers"},
		// No command: which of the two it is to be is for the Pod to say.
		Config: v1.Config{User: User, WorkingDir: "/", Labels: labels(p)},
	})
}

// Index returns the index of images, which are in the order of the programs.
func Index(programs []compile.Program, images []v1.Image) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, p := range programs {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: images[i], Descriptor: v1.Descriptor{Platform: platform(p.Arch)},
		})
	}
	return annotated(index, programs[0]).(v1.ImageIndex)
}

func platform(arch string) *v1.Platform {
	p := &v1.Platform{OS: "linux", Architecture: arch}
	if arch == "arm64" {
		p.Variant = "v8"
	}
	return p
}

// annotated puts the labels where registries look for them.
func annotated(of partial.WithRawManifest, p compile.Program) partial.WithRawManifest {
	return mutate.Annotations(of, labels(p))
}

func labels(p compile.Program) map[string]string {
	all := map[string]string{
		"org.opencontainers.image.title":       "Berth",
		"org.opencontainers.image.description": "Gives Kubernetes Services of type LoadBalancer an address that works",
		"org.opencontainers.image.url":         "https://github.com/berth-lb/berth",
		"org.opencontainers.image.source":      "https://github.com/berth-lb/berth",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     p.Version(),
		"org.opencontainers.image.created":     p.Time().Format(time.RFC3339),
	}
	if commit := p.Commit(); commit != "" {
		all["org.opencontainers.image.revision"] = commit
	}
	return all
}

// Size is what an image takes: in a registry and on the way, and unpacked.
type Size struct{ Packed, Unpacked int64 }

// Measure returns the size of the image.
func Measure(image v1.Image) (Size, error) {
	layers, err := image.Layers()
	if err != nil {
		return Size{}, fmt.Errorf("measuring the image: %w", err)
	}
	var size Size
	for _, l := range layers {
		packed, err := l.Size()
		if err != nil {
			return Size{}, fmt.Errorf("measuring a layer: %w", err)
		}
		unpacked, err := length(l)
		if err != nil {
			return Size{}, fmt.Errorf("measuring a layer: %w", err)
		}
		size.Packed += packed
		size.Unpacked += unpacked
	}
	return size, nil
}

func length(l v1.Layer) (int64, error) {
	r, err := l.Uncompressed()
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	return io.Copy(io.Discard, r)
}
