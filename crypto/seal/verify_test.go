package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"cipherdeck/crypto/archive"
)

func TestVerify(t *testing.T) {
	dir, _ := madeDir(t)
	tmp := t.TempDir()
	file, tree := sealedFile(t, make([]byte, 100_000), epoch(1)), filepath.Join(tmp, "tree")
	if err := SealFile(t.Context(), tree, dir, Meta{}, toEpoch, FileOptions{Pad: true}); err != nil {
		t.Fatal(err)
	}
	for path, entries := range map[string]uint64{file: 0, tree: 7} {
		st, _ := os.Stat(path)
		count := &counter{}
		v, err := VerifyFile(t.Context(), path, byEpoch, FileOptions{Sink: count})
		if err != nil || v.Stored != st.Size() || v.Entries != entries || v.Size < 100_000 || count.n.Load() != v.Size {
			t.Errorf("%+v, %d reported, %v", v, count.n.Load(), err)
		}
		whole, _ := os.ReadFile(path)
		for _, at := range []int{100, headerUnit + 40, headerUnit + 60, len(whole) - 1} {
			bad := bytes.Clone(whole)
			bad[at] ^= 1
			if _, err := Verify(t.Context(), bytes.NewReader(bad), byEpoch, FileOptions{}); !errors.Is(err, ErrAuth) {
				t.Errorf("byte %d: %v", at, err)
			}
		}
		if _, err := Verify(t.Context(), bytes.NewReader(whole), []Identity{epoch(2)}, FileOptions{}); !errors.Is(err, ErrNotRecipient) {
			t.Error(err)
		}
	}
	var b bytes.Buffer
	if err := sealFlags(t.Context(), &b, bytes.NewReader([]byte("no archive")), Meta{Size: SizeUnknown}, toEpoch, flagArchive, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), &b, byEpoch, FileOptions{}); !errors.Is(err, archive.ErrFormat) {
		t.Error(err)
	}
}

func TestInspectFile(t *testing.T) {
	me := testPairs[0]().Public()
	path := sealedFile(t, make([]byte, 50_000), epoch(1), RSA(me))
	i, err := InspectFile(path)
	if err != nil || i.Plain != 50_000 || i.Stored != 4096+56+50_000+4*16 || i.PostQuantum() || i.Fill < 1000 || i.Fill > 4000 {
		t.Errorf("%+v %v", i, err)
	}
	if i, err := InspectFile(sealedFile(t, nil, epoch(1))); err != nil || !i.PostQuantum() || i.Plain != 0 {
		t.Errorf("%+v %v", i, err)
	}
	if err := os.Truncate(path, 4096+10); err != nil {
		t.Fatal(err)
	}
	if _, err := InspectFile(path); !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
	if _, err := InspectFile(t.TempDir()); !errors.Is(err, ErrNotRegular) {
		t.Error(err)
	}
}
