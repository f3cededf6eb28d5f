package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// tagged is a repository with a program as small as can be, released as v1.2.3.
func tagged(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "go.mod"), "module example.com/small\n\ngo 1.26.0\n")
	write(t, filepath.Join(folder, "LICENSE"), "Permission is hereby granted, free of charge, to any person obtaining a copy; to deal in the Software without restriction")
	write(t, filepath.Join(folder, "cmd/berth/main.go"), "package main\n\nfunc main() { println(\"small\") }\n")
	git(t, folder, "init", "--quiet")
	git(t, folder, "add", ".")
	git(t, folder, "commit", "--quiet", "-m", "All")
	git(t, folder, "tag", "v1.2.3")
	return folder
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func git(t *testing.T, folder string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "tag.gpgSign=false", "-c", "commit.gpgSign=false"}, args...)...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
}

// registryFor serves a registry in memory and returns the name of a repository.
func registryFor(t *testing.T) string {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/berth"
}

func TestFromCommitToRegistry(t *testing.T) {
	source, folder, repository := tagged(t), t.TempDir(), registryFor(t)
	if err := run(t.Context(), []string{"build", "-source", source, "-folder", folder, "-tag", "v9"}); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"push", "-folder", folder, "-repository", repository}); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"push", "-folder", folder, "-repository", repository, "-tag", "v2.0.0"})
	if want := "the image is of v1.2.3, and can't be pushed as v2.0.0"; err == nil || err.Error() != want {
		t.Errorf("pushing it as another release: %v, want %q", err, want)
	}
	// Pushed under the version, not under what the files to load are tagged.
	pulled := pull(t, repository+":v1.2.3")
	if len(pulled) != 2 {
		t.Fatalf("%d architectures, want 2", len(pulled))
	}
	for arch, image := range pulled {
		if got, want := executables(t, image), []string{"berth-controller", "berth-speaker"}; !slices.Equal(got, want) {
			t.Errorf("%s: executable are %q, want %q", arch, got, want)
		}
		tag, err := name.NewTag("ghcr.io/berth-lb/berth:v9")
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := tarball.ImageFromPath(filepath.Join(folder, "berth-image-"+arch+".tar"), &tag)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := configDigest(t, loaded), configDigest(t, image); got != want {
			t.Errorf("%s: the file to load has %s, the registry %s", arch, got, want)
		}
		bill, err := os.ReadFile(filepath.Join(folder, "berth-"+arch+".cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		if want := "pkg:golang/example.com/small@v1.2.3"; !json.Valid(bill) || !strings.Contains(string(bill), want) {
			t.Errorf("%s: the bill of materials does not name %s", arch, want)
		}
	}
}

func pull(t *testing.T, ref string) map[string]v1.Image {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(tag)
	if err != nil {
		t.Fatal(err)
	}
	// Digests, sizes and media types agree with each other.
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]v1.Image{}
	for _, m := range manifest.Manifests {
		if images[m.Platform.Architecture], err = index.Image(m.Digest); err != nil {
			t.Fatal(err)
		}
	}
	return images
}

// executables are the files of an image that can be run.
func executables(t *testing.T, image v1.Image) []string {
	t.Helper()
	all := mutate.Extract(image)
	defer func() { _ = all.Close() }()
	var names []string
	for r := tar.NewReader(all); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeDir && h.Mode&0o111 != 0 {
			names = append(names, h.Name)
		}
	}
}

func configDigest(t *testing.T, image v1.Image) v1.Hash {
	t.Helper()
	digest, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestOnlyCommitsArePushed(t *testing.T) {
	source, folder := tagged(t), t.TempDir()
	write(t, filepath.Join(source, "cmd/berth/main.go"), "package main\n\nfunc main() {}\n")
	if err := run(t.Context(), []string{"build", "-source", source, "-folder", folder, "-archs", "amd64"}); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"push", "-folder", folder, "-repository", registryFor(t)})
	if err == nil || !strings.Contains(err.Error(), "in no commit") {
		t.Errorf("edited sources: %v, want an error", err)
	}
}

func TestReproducible(t *testing.T) {
	if err := run(t.Context(), []string{"reproducible", "-source", tagged(t), "-archs", "amd64"}); err != nil {
		t.Error(err)
	}
}

func TestForbiddenLicense(t *testing.T) {
	source := tagged(t)
	write(t, filepath.Join(source, "LICENSE"), "GNU General Public License")
	err := run(t.Context(), []string{"build", "-source", source, "-folder", t.TempDir(), "-archs", "amd64"})
	if err == nil || !strings.Contains(err.Error(), "LICENSE is GPL; allowed are") {
		t.Errorf("a program under the GPL: %v, want an error", err)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no command", nil, "the first argument has to be"},
		{"one that is none", []string{"bake"}, "the first argument has to be"},
		{"an argument too many", []string{"build", "all"}, `"all" is not understood`},
		{"nothing was built", []string{"push", "-folder", t.TempDir()}, "reading the index that build writes"},
	} {
		if err := run(t.Context(), c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
