package doc

import (
	"crypto/ed25519"
	"errors"
	"testing"
)

func testKey(b byte) ed25519.PrivateKey {
	seed := make([]byte, 32)
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed)
}

func TestOpenRoundTrip(t *testing.T) {
	k := testKey(1)
	raw, err := Sign("test/a", map[string]int{"x": 1}, k)
	if err != nil {
		t.Fatal(err)
	}
	s, name, err := Open(raw, "test/a", 4096, Keys(k.Public()))
	if err != nil || name.IsZero() {
		t.Fatal(err)
	}
	var body map[string]int
	if err := Decode(s.Body, &body); err != nil || body["x"] != 1 {
		t.Fatalf("body %v, %v", body, err)
	}
}

// Every bit of an envelope is covered: by the encoding, the type or a signature.
func TestOpenRefusesEveryFlippedBit(t *testing.T) {
	k := testKey(1)
	raw, err := Sign("test/a", map[string]int{"x": 1}, k)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) * 8 {
		bad := append([]byte(nil), raw...)
		bad[i/8] ^= 1 << (i % 8)
		if _, _, err := Open(bad, "test/a", 4096, Keys(k.Public())); err == nil {
			t.Fatalf("bit %d flipped and still opens", i)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	k, other := testKey(1), testKey(2)
	raw, _ := Sign("test/a", 1, k)
	twice, _ := Sign("test/a", 1, k, k)
	for name, c := range map[string]struct {
		raw  []byte
		want string
		max  int
		err  error
	}{
		"type":      {raw, "test/b", 4096, ErrType},
		"size":      {raw, "test/a", 10, ErrTooLarge},
		"twice":     {twice, "test/a", 4096, ErrUnsigned},
		"trailing":  {append(append([]byte(nil), raw...), 0), "test/a", 4096, ErrEncoding},
		"truncated": {raw[:len(raw)-1], "test/a", 4096, ErrEncoding},
	} {
		if _, _, err := Open(c.raw, c.want, c.max, Keys(k.Public())); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	if _, _, err := Open(raw, "test/a", 4096, Keys(other.Public())); !errors.Is(err, ErrSignature) {
		t.Errorf("foreign key: %v", err)
	}
}
