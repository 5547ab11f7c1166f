// Package vectors holds public test vectors, so that a clone alone can run
// them. It is imported by tests and by nothing else. README.md says where each
// file is from and under which licence.
package vectors

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/hex"
	"encoding/json"
	"io"
	"testing"
)

//go:embed wycheproof/*.gz c2sp/*.gz
var files embed.FS

// File is what the gzip file of that name holds.
func File(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(name, err)
	}
	return b
}

// Wycheproof decodes the test groups of a set into groups, a pointer to a slice.
func Wycheproof(t testing.TB, set string, groups any) {
	t.Helper()
	into := struct {
		Groups any `json:"testGroups"`
	}{groups}
	if err := json.Unmarshal(File(t, "wycheproof/"+set+".json.gz"), &into); err != nil {
		t.Fatal(set, err)
	}
}

// Hex are bytes that a set writes in hexadecimal.
type Hex []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(b []byte) (err error) {
	*h, err = hex.AppendDecode(nil, b)
	return err
}
