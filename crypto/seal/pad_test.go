package seal

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"cipherdeck/crypto/cobblestone"
)

// Lengths of the paper's rule, computed by hand from its definition.
func TestPaddedSize(t *testing.T) {
	for n, want := range map[int64]int64{
		0: 8, 1: 10, 2: 10, 8: 16, 92: 104, 1000: 1024, 1 << 20: 1<<20 + 1<<15, 1<<30 - 8: 1 << 30, 1<<30 - 7: 1<<30 + 1<<25,
	} {
		if got := PaddedSize(n); got != want {
			t.Errorf("%d becomes %d, want %d", n, got, want)
		}
	}
	for n := int64(0); n < 1<<40; n = n*5/4 + 1 {
		if p := PaddedSize(n); p < n+padTrailer || n > 1000 && p > n+n*12/100+padTrailer || p > padTrailer && PaddedSize(p-padTrailer) != p {
			t.Errorf("%d becomes %d", n, p)
		}
	}
}

// Content that looks like padding is the hard case: it ends in zeros.
func padCases() map[string][]byte {
	big := bytes.Repeat([]byte{7}, 700_001)
	return map[string][]byte{
		"empty": nil, "byte": {1}, "zero": {0}, "zeros": make([]byte, 300_000), "like a trailer": {0, 0, 0, 0, 0, 0, 0, 8},
		"ends in zeros": append(bytes.Clone(big), make([]byte, 40_000)...), "begins in zeros": append(make([]byte, 40_000), big...),
		"text": big, "eight": []byte("12345678"), "chunk": bytes.Repeat([]byte{1}, 16384-8),
	}
}

func TestPaddedRoundTrip(t *testing.T) {
	for name, plain := range padCases() {
		for _, size := range []int64{int64(len(plain)), SizeUnknown} {
			var b bytes.Buffer
			if err := SealStream(t.Context(), &b, bytes.NewReader(plain), Meta{Size: size}, toEpoch, FileOptions{Pad: true}); err != nil {
				t.Fatal(name, err)
			}
			sealed := b.Bytes()
			if want := headerUnit + cobblestone.SealedSize(PaddedSize(int64(len(plain)))); int64(len(sealed)) != want {
				t.Errorf("%s: container of %d bytes, want %d", name, len(sealed), want)
			}
			for how, read := range map[string]func(*Reader) ([]byte, error){
				"Read":      func(r *Reader) ([]byte, error) { return io.ReadAll(r) },
				"few bytes": func(r *Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(iotest.HalfReader(r), 1<<30)) },
				"WriteTo": func(r *Reader) ([]byte, error) {
					var b bytes.Buffer
					_, err := r.WriteTo(&b)
					return b.Bytes(), err
				},
			} {
				r, err := Open(bytes.NewReader(sealed), epoch(1))
				if err != nil {
					t.Fatal(err)
				}
				got, err := read(r)
				if err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%s by %s: %d bytes of %d, %v", name, how, len(got), len(plain), err)
				}
			}
			at, _, err := OpenAt(bytes.NewReader(sealed), int64(len(sealed)), epoch(1))
			if err != nil {
				t.Fatal(name, err)
			}
			got, err := io.ReadAll(io.NewSectionReader(at, 0, 1<<40))
			if err != nil || !bytes.Equal(got, plain) || at.Size() != int64(len(plain)) {
				t.Errorf("%s by OpenAt: %d bytes of %d, %v", name, len(got), len(plain), err)
			}
		}
	}
}

// Lengths are equal for contents of different lengths: that is the point.
func TestPaddedLengthsAreFew(t *testing.T) {
	lengths := map[int]bool{}
	for n := 100_000; n < 101_000; n += 7 {
		var b bytes.Buffer
		if err := SealStream(t.Context(), &b, bytes.NewReader(make([]byte, n)), Meta{Size: int64(n)}, toEpoch, FileOptions{Pad: true}); err != nil {
			t.Fatal(err)
		}
		lengths[b.Len()] = true
	}
	if len(lengths) > 2 {
		t.Errorf("%d lengths", len(lengths))
	}
}

// A recipient who writes the container himself can say what he wants.
func TestPaddingOfAHostileWriter(t *testing.T) {
	for name, plain := range map[string][]byte{
		"none": nil, "seven bytes": make([]byte, 7), "length beyond": {0, 0, 0, 0, 0, 0, 0, 1}, "huge": bytes.Repeat([]byte{0xff}, 8),
		"wrong step":          append(make([]byte, 100), 0, 0, 0, 0, 0, 0, 0, 50),
		"bytes in the fill":   append(append(make([]byte, 1000), bytes.Repeat([]byte{1}, 16)...), 0, 0, 0, 0, 0, 0, 3, 0xe9), // 1001 of 1024
		"length below a byte": append(make([]byte, 8), 0, 0, 0, 0, 0, 0, 0, 0),
	} {
		h, k, err := newHeader(Meta{Size: SizeUnknown}, toEpoch, flagPadded)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := cobblestone.Seal(k.payload, h.payloadContext(), plain)
		if err != nil {
			t.Fatal(err)
		}
		sealed := append(bytes.Clone(h.raw), payload...)
		if got, _, err := openBytes(sealed, epoch(1)); !errors.Is(err, ErrHeader) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}
