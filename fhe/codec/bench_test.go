package codec

import "testing"

func BenchmarkNew(b *testing.B) {
	core := testCore(b)
	for b.Loop() {
		if _, err := New(core); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUniform(b *testing.B) {
	v := make([]uint64, 4096)
	b.SetBytes(int64(8 * len(v)))
	for b.Loop() {
		Uniform(v, &[SeedSize]byte{}, 0, 562949953216513)
	}
}

func BenchmarkUnpack(b *testing.B) {
	v, raw := make([]uint64, 4096), make([]byte, 4096*49/8)
	b.SetBytes(int64(8 * len(v)))
	for b.Loop() {
		unpack(v, raw, 49, 562949953216513)
	}
}

func BenchmarkPack(b *testing.B) {
	v, raw := make([]uint64, 4096), make([]byte, 4096*49/8)
	b.SetBytes(int64(8 * len(v)))
	for b.Loop() {
		pack(raw, v, 49)
	}
}
