package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"
)

var (
	noon  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	files = []File{
		{Path: "b-link", LinkTo: "z", Executable: true},
		{Path: "z", Content: []byte("program"), Executable: true},
		{Path: "etc/deep/text", Content: []byte("text")},
	}
)

func TestContents(t *testing.T) {
	l, err := New(files, noon)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for reader := tar.NewReader(r); ; {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(noon) || h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s is of %v and belongs to %d:%d, want %v and root", h.Name, h.ModTime, h.Uid, h.Gid, noon)
		}
		got = append(got, fmt.Sprintf("%s %o %q %s", h.Name, h.Mode, content, h.Linkname))
	}
	want := []string{
		`etc/ 755 "" `,
		`etc/deep/ 755 "" `,
		`etc/deep/text 444 "text" `,
		`z 555 "program" `,
		// A link before its file could not be unpacked.
		`b-link 555 "" z`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the layer has\n%q, want\n%q", got, want)
	}
}

func TestDigestIsOfContentAlone(t *testing.T) {
	digest := func(files []File, modified time.Time) string {
		l, err := New(files, modified)
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	reversed := slices.Clone(files)
	slices.Reverse(reversed)
	first := digest(files, noon)
	if other := digest(reversed, noon.In(time.FixedZone("elsewhere", 3600))); other != first {
		t.Errorf("in another order and zone: %s, want %s", other, first)
	}
	if other := digest(files, noon.Add(time.Second)); other == first {
		t.Error("of another commit, a second later, it is the same")
	}
}
