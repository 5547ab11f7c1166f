package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse: whatever parses has the shape that is written again, and nothing
// opens without the key.
func FuzzParse(f *testing.F) {
	path := filepath.Join(dir(f), "vault")
	create(f, path, sample(), KeyringSlot(&ring{}), PassphraseSlot(pass, cheap()))
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:60])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b) // the fuzzer keeps its own
		if len(b) >= 32 {
			resum(b)
		}
		p, err := parse(b)
		if err != nil {
			if !isOne(err, []error{ErrDamaged, ErrNotVault, ErrVersion}) {
				t.Fatal(err)
			}
			return
		}
		again := append(p.head(), p.mac...)
		again = append(again, p.body...)
		if string(again) != string(b[:len(b)-32]) {
			t.Fatal("parsed file is written differently")
		}
		if _, err := p.open(make([]byte, keySize)); err == nil {
			t.Fatal("opens without the key")
		}
	})
}
