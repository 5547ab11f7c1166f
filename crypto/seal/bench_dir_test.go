package seal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manyFiles is 20 000 files of 4 KiB; compare with tar on the same directory
// (.ci/bench-seal does).
func manyFiles(b *testing.B) string {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "many")
	text := []byte(strings.Repeat("0123456789abcdef", 256))
	for i := range 20_000 {
		sub := filepath.Join(dir, fmt.Sprintf("%02d", i%100))
		if i < 100 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%05d", i)), text, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func BenchmarkSealDirectory(b *testing.B) {
	dir := manyFiles(b)
	for b.Loop() {
		if err := SealFile(b.Context(), dir+".box", dir, Meta{}, toEpoch, FileOptions{Force: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenDirectory(b *testing.B) {
	dir := manyFiles(b)
	if err := SealFile(b.Context(), dir+".box", dir, Meta{}, toEpoch, FileOptions{}); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := OpenFile(b.Context(), fmt.Sprint(dir, i), dir+".box", byEpoch, FileOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
