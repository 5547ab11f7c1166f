package cobblestone

import (
	"bytes"
	"compress/zlib"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"slices"
	"testing"

	"cipherdeck/crypto/vectors"
)

type vector struct {
	ID     int      `json:"tcId"`
	Note   string   `json:"comment"`
	Key    string   `json:"key"`
	Ctx    string   `json:"ctx"`
	CT     string   `json:"ct"`
	Len    int      `json:"msgLength"`
	Sum    string   `json:"msgSha512"`
	Result string   `json:"result"`
	Flags  []string `json:"flags"`
}

func loadVectors(t *testing.T) []vector {
	t.Helper()
	var groups []struct{ Tests []vector }
	vectors.Wycheproof(t, "c2sp_chunked_encryption_aes_256_gcm", &groups)
	var all []vector
	for _, g := range groups {
		all = append(all, g.Tests...)
	}
	return all
}

func (v vector) bytes(t *testing.T) (key [KeySize]byte, ctx, ct []byte, ok bool) {
	t.Helper()
	k, err1 := hex.DecodeString(v.Key)
	ctx, err2 := hex.DecodeString(v.Ctx)
	packed, err3 := hex.DecodeString(v.CT)
	z, err4 := zlib.NewReader(bytes.NewReader(packed))
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		t.Fatalf("vector %d: %v %v %v %v", v.ID, err1, err2, err3, err4)
	}
	ct, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if len(k) != KeySize { // cannot be expressed in the API: refused by type
		return key, nil, nil, false
	}
	return [KeySize]byte(k), ctx, ct, true
}

func (v vector) is(plain []byte) bool {
	sum := sha512.Sum512(plain)
	return len(plain) == v.Len && hex.EncodeToString(sum[:]) == v.Sum
}

// All published vectors, by every way of opening a message.
func TestWycheproof(t *testing.T) {
	all := loadVectors(t)
	if len(all) != 35 {
		t.Errorf("%d vectors, want 35", len(all))
	}
	for _, v := range all {
		key, ctx, ct, ok := v.bytes(t)
		if !ok {
			if v.Result == "valid" {
				t.Errorf("vector %d: valid with a key of another size", v.ID)
			}
			continue
		}
		valid := v.Result == "valid"
		if got, err := Open(key, ctx, ct); valid != (err == nil) || valid && !v.is(got) || !valid && got != nil {
			t.Errorf("vector %d (%s): Open: %d bytes, %v", v.ID, v.Note, len(got), err)
		}
		for name, read := range map[string]func(io.Reader) ([]byte, error){"Read": readAll, "WriteTo": writeTo} {
			got, err := openStream(key, ctx, ct, read)
			if valid != (err == nil) || valid && !v.is(got) {
				t.Errorf("vector %d (%s): %s: %d bytes, %v", v.ID, v.Note, name, len(got), err)
			}
			// A stream gives the longest authentic beginning of a bad message.
			if !valid && v.Sum != "" && len(got) != v.Len {
				t.Errorf("vector %d (%s): %s gave %d bytes before %v, want %d", v.ID, v.Note, name, len(got), err, v.Len)
			}
		}
		v.randomAccess(t, key, ctx, ct)
	}
}

func (v vector) randomAccess(t *testing.T, key [KeySize]byte, ctx, ct []byte) {
	t.Helper()
	valid := v.Result == "valid"
	r, err := NewReaderAt(bytes.NewReader(ct), int64(len(ct)), key, ctx)
	if want := valid || slices.Contains(v.Flags, "ValidFinalChunk"); want != (err == nil) {
		t.Errorf("vector %d (%s): NewReaderAt: %v", v.ID, v.Note, err)
	}
	if err != nil {
		return
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if valid != (err == nil) || valid && !v.is(got) {
		t.Errorf("vector %d (%s): ReadAt: %d bytes, %v", v.ID, v.Note, len(got), err)
	}
}

func openStream(key [KeySize]byte, ctx, ct []byte, read func(io.Reader) ([]byte, error)) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(ct), key, ctx)
	if err != nil {
		return nil, err
	}
	got, err := read(r)
	if err != nil { // it must keep failing
		if n, again := r.Read(make([]byte, 1)); n != 0 || again == nil || again == io.EOF {
			return got, nil
		}
	}
	return got, err
}

// readAll hides WriteTo from io.Copy.
func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{r}) }

func writeTo(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	_, err := r.(io.WriterTo).WriteTo(&b)
	return b.Bytes(), err
}
