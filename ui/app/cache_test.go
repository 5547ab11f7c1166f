package app

import (
	"bytes"
	"testing"

	"cipherdeck/crypto/id"
)

func TestCacheKeepsAndForgets(t *testing.T) {
	f := &folder{dir: t.TempDir()}
	var ids []id.ID
	for k := range 10 {
		b := bytes.Repeat([]byte{byte(k)}, 1000)
		ids = append(ids, id.Of(b))
		f.Put(ids[k], b)
		f.Put(ids[k], b)
		if got, ok := f.Get(ids[k]); !ok || !bytes.Equal(got, b) {
			t.Fatalf("%d: %d bytes, %v", k, len(got), ok)
		}
	}
	f.shrink(10_000, 5_000)
	if _, ok := f.Get(ids[0]); !ok {
		t.Error("it forgets without need")
	}
	f.shrink(9_999, 5_000)
	left := 0
	for _, i := range ids {
		if _, ok := f.Get(i); ok {
			left++
		}
	}
	if left != 5 {
		t.Errorf("%d are left, want 5", left)
	}
	if _, ok := f.Get(id.Of([]byte("never"))); ok {
		t.Error("it has what it was never given")
	}
}
