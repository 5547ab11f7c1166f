package cobblestone

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"
)

const benchSize = 64 << 20

// RawGCM is the peer: the same AES-256-GCM over the same chunks, one thread, no
// format. Run Seal and it with -cpu 1,2 and compare the ratios.
func BenchmarkRawGCM(b *testing.B) {
	m, _, err := newMessage(testKey, nil)
	if err != nil {
		b.Fatal(err)
	}
	plain, out := make([]byte, benchSize), make([]byte, 0, benchSize+benchSize/ChunkSize*tagSize)
	rand.Read(plain)
	var nonce [nonceSize]byte
	b.SetBytes(benchSize)
	for b.Loop() {
		out = out[:0]
		for k := 0; k < benchSize; k += ChunkSize {
			out = m.aead.Seal(out, nonce[:], plain[k:k+ChunkSize], nil)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	plain := make([]byte, benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		if _, err := Seal(testKey, nil, plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	sealed, err := Seal(testKey, nil, make([]byte, benchSize))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	for b.Loop() {
		if _, err := Open(testKey, nil, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	plain := make([]byte, benchSize)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		w, err := NewWriter(io.Discard, testKey, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.ReadFrom(bytes.NewReader(plain)); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	sealed, err := Seal(testKey, nil, make([]byte, benchSize))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(sealed), testKey, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
