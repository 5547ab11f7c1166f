package shamir

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

// FIPS 197, sections 4.2 and 4.2.1.
func TestFieldOfAES(t *testing.T) {
	for _, c := range [][3]byte{{0x57, 0x83, 0xc1}, {0x57, 0x13, 0xfe}, {0x57, 2, 0xae}, {0x57, 0x10, 7}, {0x53, 0xca, 1}, {0, 9, 0}} {
		if mul(c[0], c[1]) != c[2] || mul(c[1], c[0]) != c[2] {
			t.Errorf("%02x·%02x = %02x, want %02x", c[0], c[1], mul(c[0], c[1]), c[2])
		}
	}
	for a := 1; a < 256; a++ {
		if mul(byte(a), inverse(byte(a))) != 1 {
			t.Fatalf("1/%02x = %02x", a, inverse(byte(a)))
		}
	}
	if inverse(0) != 0 {
		t.Fatal("1/0 is not 0")
	}
}

// pattern gives the coefficients of testdata/vectors.py.
type pattern struct{ k, at int }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(p.at/(p.k-1)*31 + (p.at%(p.k-1)+1)*7 + 5)
		p.at++
	}
	return len(b), nil
}

// The expected shares are made by testdata/vectors.py, which computes in the
// field in another way.
func TestVectors(t *testing.T) {
	var secret []byte
	for i := 0; i < 256; i += 17 {
		secret = append(secret, byte(i))
	}
	for _, line := range []string{
		"0c3a685accf2a0928cbae8da4c425022 1847b6e14f00f1a680df2e79d7f8895e 146cfc88c7a7374384fc6c1857673783",
		"1f08392a435c6d7e8790a1b2cbe495c6 548fe93a458ee83bac7711c2fd56b0e3 4b96f2234287e332a37e1acbfa6fcbda 1bb076cd7af1378c288345fe5219c464 04a96dd47df83c85278a4ef75520bf5d",
	} {
		want := strings.Fields(line)
		k, n := (len(want)+1)/2, len(want)
		got, err := Split(&pattern{k: k}, secret, k, n)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range got {
			if int(s.X) != i+1 || hex.EncodeToString(s.Y) != want[i] {
				t.Errorf("%d of %d, share %d: %x, want %s", k, n, i+1, s.Y, want[i])
			}
		}
	}
}

func TestAnyKGiveItBackAndFewerDoNot(t *testing.T) {
	secret := []byte("32 bytes of some vault's slot key")
	for n := 2; n <= 6; n++ {
		for k := 2; k <= n; k++ {
			shares, err := Split(rand.Reader, secret, k, n)
			if err != nil {
				t.Fatal(err)
			}
			for set := range 1 << n {
				var some []Share
				for i := range shares {
					if set>>i&1 == 1 {
						some = append([]Share{shares[i]}, some...)
					}
				}
				got, err := Combine(some)
				if len(some) < 2 {
					if !errors.Is(err, ErrShares) {
						t.Fatal(err)
					}
					continue
				}
				if err != nil || bytes.Equal(got, secret) != (len(some) >= k) {
					t.Fatalf("%d of %d with %d shares: %q %v", k, n, len(some), got, err)
				}
			}
		}
	}
}

// One share fits every secret: for each value of the secret's byte there is a
// polynomial through it.
func TestOneShareTellsNothing(t *testing.T) {
	seen := map[byte]bool{}
	for c := range 256 {
		s, err := Split(bytes.NewReader([]byte{byte(c)}), []byte{0x42}, 2, 2)
		if err != nil {
			t.Fatal(err)
		}
		seen[s[0].Y[0]] = true
	}
	if len(seen) != 256 {
		t.Fatalf("%d values of 256", len(seen))
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct{ k, n, size int }{{1, 2, 1}, {3, 2, 1}, {2, 17, 1}, {2, 2, 0}, {0, 0, 1}} {
		if _, err := Split(rand.Reader, make([]byte, c.size), c.k, c.n); !errors.Is(err, ErrShares) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := Split(bytes.NewReader(nil), []byte{1}, 2, 2); !errors.Is(err, io.EOF) {
		t.Errorf("no randomness: %v", err)
	}
	for name, set := range map[string][]Share{
		"none": nil, "one": {{1, []byte{1}}}, "twice": {{1, []byte{1}}, {1, []byte{2}}},
		"x 0": {{0, []byte{1}}, {1, []byte{2}}}, "lengths": {{1, []byte{1}}, {2, []byte{1, 2}}}, "empty": {{1, nil}, {2, nil}},
	} {
		if _, err := Combine(set); !errors.Is(err, ErrShares) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
