package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestReaderStopsAtTheFirstError(t *testing.T) {
	r := NewReader([]byte{0, 1, 0, 2, 'a', 'b', 9})
	if r.U16() != 1 || string(r.Sized(2)) != "ab" || r.Left() != 1 || r.Err() != nil {
		t.Fatal("fields read wrong")
	}
	if err := r.End(); !errors.Is(err, ErrTrailing) {
		t.Fatalf("one byte left: %v", err)
	}
	if r.U32() != 0 || !errors.Is(r.Err(), ErrShort) {
		t.Fatalf("read past the end: %v", r.Err())
	}
	if r.U8() != 0 || r.Left() != 0 || !errors.Is(r.End(), ErrShort) {
		t.Fatal("reads go on after an error")
	}
}

func TestSizedBounds(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		max  int
		want error
	}{
		"exact":    {[]byte{0, 2, 1, 2}, 2, nil},
		"empty":    {[]byte{0, 0}, 0, nil},
		"too long": {[]byte{0, 3, 1, 2, 3}, 2, ErrSize},
		"short":    {[]byte{0, 3, 1}, 3, ErrShort},
		"no size":  {[]byte{0}, 3, ErrShort},
		"huge":     {[]byte{0xff, 0xff}, 1 << 16, ErrShort},
	} {
		r := NewReader(c.in)
		r.Sized(c.max)
		if err := r.End(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if r := NewReader([]byte{1}); r.Take(-1) != nil || !errors.Is(r.Err(), ErrShort) {
		t.Error("negative length taken")
	}
}

func TestAppendIsTheInverse(t *testing.T) {
	b := Sized(U32s(U16s(nil, 0x1234), 0xDEADBEEF), []byte("xyz"))
	want := []byte{0x12, 0x34, 0xDE, 0xAD, 0xBE, 0xEF, 0, 3, 'x', 'y', 'z'}
	if !bytes.Equal(b, want) {
		t.Fatalf("%x", b)
	}
	r := NewReader(append(b, 0, 0, 0, 0, 0, 0, 1, 0))
	if r.U16() != 0x1234 || r.U32() != 0xDEADBEEF || string(r.Sized(3)) != "xyz" || r.U64() != 256 || r.End() != nil {
		t.Fatal("does not read back")
	}
}
