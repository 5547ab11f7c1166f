package dataset

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"cipherdeck/crypto/cobblestone"
)

// clinic is an 11-column table of the usual mixture, about n bytes.
func clinic(n int) []byte {
	r := rand.New(rand.NewPCG(7, 7))
	var b bytes.Buffer
	b.WriteString("id,name,email,birth,city,age,weight,score,visits,smoker,note\n")
	cities := []string{"Berlin", "Zürich", "Lyon", "Graz", "Porto"}
	for b.Len() < n {
		fmt.Fprintf(&b, "%d,Ann%d Lee,a%d@example.org,%d-%02d-%02d,%s,%d,%.1f,%.6f,%d,%v,\"seen, %d\"\n",
			r.IntN(1e9), r.IntN(500), r.IntN(1e6), 1930+r.IntN(70), 1+r.IntN(12), 1+r.IntN(28), cities[r.IntN(5)],
			r.IntN(90), r.Float64()*100, r.Float64(), r.IntN(40), r.IntN(2) == 0, r.IntN(1e5))
	}
	return b.Bytes()
}

func BenchmarkProfile(b *testing.B) {
	in := clinic(8 << 20)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := ProfileOf("b", CSV, bytes.NewReader(in), 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProfileAndSeal is what sealing a table takes: one pass for the
// profile, which the header needs, and one to encrypt.
func BenchmarkProfileAndSeal(b *testing.B) {
	in := clinic(8 << 20)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := ProfileOf("b", CSV, bytes.NewReader(in), 1); err != nil {
			b.Fatal(err)
		}
		w, err := cobblestone.NewWriter(io.Discard, [cobblestone.KeySize]byte{1}, nil)
		if err == nil {
			_, err = w.Write(in)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReader is the share of the profile that only takes records apart.
func BenchmarkReader(b *testing.B) {
	in := clinic(8 << 20)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		r, err := NewReader("b", CSV, bytes.NewReader(in))
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
		}
	}
}
