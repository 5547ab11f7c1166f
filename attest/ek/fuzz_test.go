package ek

import (
	"bytes"
	"crypto/elliptic"
	"testing"
	"time"

	"cipherdeck/attest"
)

// FuzzChain: only the key that the maker certified is ever of a chip, and no
// text of a certificate reaches a terminal as it came.
func FuzzChain(f *testing.F) {
	m, key := newMaker(f, "Chip Root", -1), newKey(f, elliptic.P256())
	good := issue(f, leaf(f), m.middle, key.Public(), m.midKy)
	marked := leaf(f)
	marked.Issuer.CommonName = SoftwareName
	soft := authority(SoftwareName, -1)
	soft = issue(f, soft, soft, m.rootKey.Public(), m.rootKey)
	f.Add(good.Raw, m.middle.Raw)
	f.Add(good.Raw, []byte{})
	f.Add(m.middle.Raw, m.root.Raw)
	f.Add(issue(f, marked, soft, key.Public(), m.rootKey).Raw, soft.Raw)
	roots := m.pinned(attest.RootHardware)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		chain := [][]byte{first}
		if len(second) > 0 {
			chain = append(chain, second)
		}
		made, err := Verify(chain, roots, time.Unix(2000, 0))
		if err != nil {
			return
		}
		if made.Kind > attest.RootSoftware && !bytes.Equal(made.Key, good.RawSubjectPublicKeyInfo) {
			t.Fatalf("nobody certified %x", made.Key)
		}
		for _, r := range made.Maker {
			if r < ' ' || r == 0x7f {
				t.Fatalf("maker %q", made.Maker)
			}
		}
	})
}
