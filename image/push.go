package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// release is what tags of releases look like.
var release = regexp.MustCompile(`^v\d+\.\d+\.\d+`)

// push is the command push. It takes who may push from where Docker keeps it.
func push(ctx context.Context, o options) error {
	index, err := layout.ImageIndexFromPath(filepath.Join(o.folder, "berth-image"))
	if err != nil {
		return fmt.Errorf("reading the index that build writes: %w", err)
	}
	version, err := released(index)
	if err != nil {
		return err
	}
	tag := o.tag
	if tag == "" {
		tag = tagOf(version)
	}
	if release.MatchString(tag) && tag != tagOf(version) {
		return fmt.Errorf("the image is of %s, and can't be pushed as %s", version, tag)
	}
	ref, err := name.NewTag(o.repository + ":" + tag)
	if err != nil {
		return fmt.Errorf("naming the image: %w", err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return fmt.Errorf("pushing %s: %w", ref, err)
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s@%s\n", ref, digest)
	return nil
}

// released returns the version that the index is of, if others could build it
// again.
func released(index v1.ImageIndex) (string, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return "", fmt.Errorf("reading the index: %w", err)
	}
	version := manifest.Annotations["org.opencontainers.image.version"]
	if manifest.Annotations["org.opencontainers.image.revision"] == "" {
		return "", errors.New("the image is of no commit: build it from a clone with Git")
	}
	if strings.HasSuffix(version, "+dirty") {
		return "", fmt.Errorf("the image is of sources that are in no commit (%s): commit them, and build it again", version)
	}
	return version, nil
}
