package words

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// The vectors were computed by a separate program; testdata/vectors.py.
func TestFingerprintVectors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "chasing whisking scrunch repeal smartness napping landfill omega"},
		{"cipherdeck", "mobster drinkable mockup pacify clavicle subtotal schedule credible"},
		{strings.Repeat("\xff", 32), "idiom rotunda obscure structure reboot dubiously margin tactless"},
	} {
		if got := Fingerprint([]byte(c.in)); got != c.want {
			t.Errorf("Fingerprint(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	if got, want := Pair([]byte("alice"), []byte("bob")), "ripcord shorthand diploma dingo wrath spinster making choosy"; got != want {
		t.Errorf("Pair = %q, want %q", got, want)
	}
}

func TestPair(t *testing.T) {
	a, b := []byte("alice"), []byte("bob")
	if Pair(a, b) != Pair(b, a) {
		t.Error("the order of the two must not matter")
	}
	// Same bytes in a row, cut elsewhere.
	if Pair([]byte("ab"), []byte("cd")) == Pair([]byte("abc"), []byte("d")) {
		t.Error("two different pairs have the same words")
	}
}

func TestList(t *testing.T) {
	sum := sha256.Sum256([]byte(effLarge))
	if got := hex.EncodeToString(sum[:]); got != "6d557f0693958fb5e650b68b5bee585eb82cf4da32965505c789e924743bc522" {
		t.Errorf("eff_large.txt: SHA-256 %s", got)
	}
	list := strings.Fields(effLarge)
	if len(list) != ListSize {
		t.Fatalf("%d words, want %d", len(list), ListSize)
	}
	bare := make([]string, len(list))
	for i, w := range list {
		bare[i] = string(letters(w))
		if w != strings.ToLower(w) || strings.Trim(bare[i], "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("word %q is not lower-case ASCII letters and hyphens", w)
		}
	}
	// In sorted order a prefix of any word is a prefix of the next one.
	slices.Sort(bare)
	for i := 1; i < len(bare); i++ {
		if strings.HasPrefix(bare[i], bare[i-1]) && bare[i] != "yoyo" { // "yo-yo" and "yoyo": see the package comment
			t.Errorf("%q begins with %q: words that run together would be ambiguous", bare[i], bare[i-1])
		}
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		x, y string
		want bool
	}{
		{"abacus zoom", "abacus zoom", true},
		{"abacus zoom", " Abacus\t ZOOM\n", true},
		{"abacus zoom", "abacuszoom", true},
		{"t-shirt yo-yo", "tshirt-yoyo", true},
		{"abacus yoyo", "abacus yo-yo", true}, // two words of the list that sound alike
		{"abacus zoom", "zoom abacus", false},
		{"abacus zoom", "abacus", false},
		{"abacus zoom", "", false},
		{"", "", false},
		{" ", "-", false},
	} {
		if got := Equal(c.x, c.y); got != c.want {
			t.Errorf("Equal(%q, %q) = %v", c.x, c.y, got)
		}
	}
}

// Every 13-bit number once: each word must come exactly once, so none is
// likelier than another, and the 416 numbers past the list must be skipped.
func TestPassphraseIsUnbiased(t *testing.T) {
	var all bytes.Buffer
	for i := range 1 << drawBits {
		all.Write([]byte{byte(i>>8) | 0xe0, byte(i)}) // the upper 3 bits are not used
	}
	seen := map[string]int{}
	for {
		s, err := Passphrase(&all, 1)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen[s]++
	}
	for w, n := range seen {
		if n != 1 {
			t.Errorf("%q came %d times", w, n)
		}
	}
	if len(seen) != ListSize {
		t.Errorf("%d different words, want %d", len(seen), ListSize)
	}
}

func TestPassphrase(t *testing.T) {
	// 0000 abacus, 1fff skipped, 1e5f = 7775 the last word, ff skipped, 0001.
	in := []byte{0, 0, 0x1f, 0xff, 0x1e, 0x5f, 0xff, 0xff, 0, 1}
	got, err := Passphrase(iotest.OneByteReader(bytes.NewReader(in)), 3)
	if err != nil || got != "abacus zoom abdomen" {
		t.Errorf("%q, %v", got, err)
	}
	for _, n := range []int{-1, 0, MaxPassphrase + 1} {
		if _, err := Passphrase(bytes.NewReader(in), n); !errors.Is(err, ErrCount) {
			t.Errorf("n = %d: %v", n, err)
		}
	}
	if _, err := Passphrase(bytes.NewReader(in[:3]), 2); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short reader: %v", err)
	}
}

func BenchmarkFingerprint(b *testing.B) {
	in := make([]byte, 32)
	for b.Loop() {
		Fingerprint(in)
	}
}

// A fingerprint hardly ever needs the second block, so it is tested by itself.
func TestStreamCounts(t *testing.T) {
	got := make([]byte, 64)
	if _, err := io.ReadFull(&stream{seed: [32]byte{7}}, got); err != nil {
		t.Fatal(err)
	}
	seed := [32]byte{7}
	first, second := sha256.Sum256(append(seed[:], 0, 0, 0, 0)), sha256.Sum256(append(seed[:], 0, 0, 0, 1))
	if want := append(first[:], second[:]...); !bytes.Equal(got, want) {
		t.Errorf("stream is %x, want %x", got, want)
	}
}
