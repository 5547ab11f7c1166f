package cbchmac

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"testing"
)

func sealed(t *testing.T, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, [32]byte{1}, []byte("context"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, bytes.NewReader(plain)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func opened(b []byte, key byte, context string) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(b), [32]byte{key}, []byte(context))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 5} {
		plain := bytes.Repeat([]byte{7}, n)
		b := sealed(t, plain)
		if got, err := opened(b, 1, "context"); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
		if bytes.Equal(b, sealed(t, plain)) {
			t.Error("the same ciphertext twice")
		}
		if _, err := opened(b, 2, "context"); !errors.Is(err, ErrAuth) {
			t.Error(err)
		}
		if _, err := opened(b, 1, "another"); !errors.Is(err, ErrAuth) {
			t.Error(err)
		}
	}
}

// Every byte, every cut, moved and repeated chunks.
func TestDamage(t *testing.T) {
	b := sealed(t, make([]byte, 2*chunkSize+9))
	for i := 0; i < len(b); i += 13 {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if got, err := opened(bad, 1, "context"); !errors.Is(err, ErrAuth) {
			t.Fatalf("byte %d: %d bytes, %v", i, len(got), err)
		}
	}
	one, two := headerSize+sealedSize, headerSize+2*sealedSize
	for name, bad := range map[string][]byte{
		"cut in the header": b[:headerSize-1], "no chunk": b[:headerSize], "cut to one chunk": b[:one], "cut to two": b[:two], "cut in a chunk": b[:one+100],
		"last byte": b[:len(b)-1], "longer": append(bytes.Clone(b), 0), "twice the end": append(bytes.Clone(b), b[two:]...),
		"swapped": bytes.Join([][]byte{b[:headerSize], b[one:two], b[headerSize:one], b[two:]}, nil),
		"missing": append(bytes.Clone(b[:headerSize]), b[one:]...),
	} {
		if _, err := opened(bad, 1, "context"); !errors.Is(err, ErrAuth) && !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// RFC 7518 section 5.2.2.1: T = HMAC(A ‖ IV ‖ E ‖ AL), written out by hand.
func TestTagOfRFC7518(t *testing.T) {
	mac, _ := hex.DecodeString("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	m := &message{mac: mac}
	sealed := []byte("sixteen bytes IVand then blocks.")
	h := hmac.New(sha512.New, mac)
	h.Write(append(append(make([]byte, 8), sealed...), 0, 0, 0, 0, 0, 0, 0, 64))
	if !bytes.Equal(m.tag(sealed), h.Sum(nil)[:32]) {
		t.Error("the tag is not HMAC-SHA-512(A ‖ IV ‖ E ‖ AL)")
	}
}

// Who has the key can make a chunk of the right length that holds more than a
// chunk: there must be one form of a message only.
func TestChunkOfAHostileWriter(t *testing.T) {
	for n, want := range map[int]error{chunkSize: nil, chunkSize + 1: ErrAuth, chunkSize + 15: ErrAuth} {
		header := make([]byte, headerSize)
		m, commit, err := derive([32]byte{1}, header[:saltSize], nil)
		if err != nil {
			t.Fatal(err)
		}
		copy(header[saltSize:], commit)
		b := append(header, m.seal(make([]byte, n))...)
		if _, err := opened(append(b, m.seal(nil)...), 1, ""); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
