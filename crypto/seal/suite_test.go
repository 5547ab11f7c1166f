package seal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The CBC suite is the same container with another payload: everything but
// random access works, and what a GCM reader would do with it is refused.
func TestCBCSuite(t *testing.T) {
	plain := bytes.Repeat([]byte("row\n"), 20_000)
	dir := t.TempDir()
	in, box, out := writeFile(t, filepath.Join(dir, "in"), plain), filepath.Join(dir, "box"), filepath.Join(dir, "out")
	if err := SealFile(t.Context(), box, in, Meta{}, toEpoch, FileOptions{CBC: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := AddRecipients(t.Context(), box, byEpoch, []Recipient{epoch(2)}, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if i, err := InspectFile(box); err != nil || !i.CBC() || i.Plain != SizeUnknown {
		t.Errorf("%+v %v", i, err)
	}
	if _, err := OpenFile(t.Context(), out, box, []Identity{epoch(2)}, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(out); !bytes.Equal(got, plain) {
		t.Error("content differs")
	}
	b, _ := os.ReadFile(box)
	if _, _, err := OpenAt(bytes.NewReader(b), int64(len(b)), epoch(1)); !errors.Is(err, ErrSuite) {
		t.Error(err)
	}
	for _, at := range []int{10, headerUnit + 1, headerUnit + 100, len(b) - 1} { // 10: the flag itself
		bad := bytes.Clone(b)
		bad[at] ^= 1
		if _, err := Verify(t.Context(), bytes.NewReader(bad), byEpoch, FileOptions{}); !errors.Is(err, ErrAuth) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	if _, err := Verify(t.Context(), bytes.NewReader(b[:len(b)-1000]), byEpoch, FileOptions{}); err == nil {
		t.Error("cut and verifies")
	}
}
