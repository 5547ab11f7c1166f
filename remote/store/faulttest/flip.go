package faulttest

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Files sorts the files that JetStream keeps below a folder into classes:
//
//	block      messages, *.blk
//	index      what it remembers of its blocks, index.db; it can be made anew
//	settings   of a stream or consumer, meta.inf
//	checksum   of settings, meta.sum
//	consumer   where a consumer is, o.dat
//	timer      when messages end, thw.db; it can be made anew
//	other
func Files(t *testing.T, dir string) map[string][]string {
	t.Helper()
	names := map[string]string{"index.db": "index", "meta.inf": "settings", "meta.sum": "checksum", "o.dat": "consumer", "thw.db": "timer"}
	all := map[string][]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if i, err := d.Info(); err != nil || i.Size() == 0 {
			return err // nothing to flip
		}
		class := names[d.Name()]
		switch {
		case filepath.Ext(path) == ".blk":
			class = "block"
		case class == "":
			class = "other"
		}
		all[class] = append(all[class], path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Classes is the names of the classes of files, in order.
func Classes(files map[string][]string) []string { return slices.Sorted(maps.Keys(files)) }

// Flip turns one bit of a file over: bit 0 to 7 of the byte at an offset, which
// counts from the end when it is negative.
func Flip(t *testing.T, path string, offset int64, bit uint) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if offset < 0 {
		offset += int64(len(b))
	}
	b[offset] ^= 1 << bit
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
