// Package layer makes layers of an image whose digest depends on nothing but
// what is in them.
package layer

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"path"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one file of a layer. Its owner is root, and nobody may write it.
type File struct {
	// Path has no slash in front.
	Path       string
	Content    []byte
	Executable bool
	// LinkTo is the path of the file that this is another name of.
	LinkTo string
}

// New returns the layer with these files and the folders that they are in.
func New(files []File, modified time.Time) (v1.Layer, error) {
	text, err := archive(files, modified)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil },
		tarball.WithMediaType(types.OCILayer),
		tarball.WithCompressionLevel(gzip.BestCompression),
		tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("compressing a layer: %w", err)
	}
	return layer, nil
}

func archive(files []File, modified time.Time) ([]byte, error) {
	headers := map[string]tar.Header{}
	content := map[string][]byte{}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			headers[dir] = tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}
		}
		headers[f.Path] = f.header()
		content[f.Path] = f.Content
	}
	all := make([]tar.Header, 0, len(headers))
	for _, h := range headers {
		h.ModTime, h.Format = modified, tar.FormatUSTAR
		all = append(all, h)
	}
	// A link comes after what it is a link to, a file after its folder.
	slices.SortFunc(all, func(a, b tar.Header) int {
		return cmp.Or(cmp.Compare(a.Linkname, b.Linkname), cmp.Compare(a.Name, b.Name))
	})

	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range all {
		if err := w.WriteHeader(&h); err != nil {
			return nil, fmt.Errorf("adding %s to a layer: %w", h.Name, err)
		}
		if _, err := w.Write(content[h.Name]); err != nil {
			return nil, fmt.Errorf("adding %s to a layer: %w", h.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("ending a layer: %w", err)
	}
	return out.Bytes(), nil
}

func (f File) header() tar.Header {
	h := tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Mode: 0o444, Size: int64(len(f.Content))}
	if f.Executable {
		h.Mode = 0o555
	}
	if f.LinkTo != "" {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, f.LinkTo, 0
	}
	return h
}
