package seal

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzHeader: no bytes make the parser panic, read more than 1 MiB or accept a
// header that it would lay out differently.
func FuzzHeader(f *testing.F) {
	for _, to := range [][]Recipient{{epoch(1)}, {epoch(1), epoch(2)}, {Passphrase([]byte("x"), cheap)}, {Hybrid(testPairs[0]().Public())}} {
		h, _, err := newHeader(Meta{Name: "seed"}, to, 0)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(h.raw)
		f.Add(h.raw[:len(h.raw)-1])
		more := bytes.Clone(h.raw)
		binary.BigEndian.PutUint16(more[32:], 1024)
		f.Add(more)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		src := bytes.NewReader(b)
		h, err := readHeader(src)
		if read := len(b) - src.Len(); read > headerMax {
			t.Fatalf("read %d bytes", read)
		}
		if err != nil {
			return
		}
		again, err := h.build()
		if err != nil || len(again) > len(h.raw) {
			t.Fatalf("parsed, but cannot be laid out: %d bytes, %v", len(again), err)
		}
		n := len(again) - macSize
		binary.BigEndian.PutUint32(again[12:], uint32(len(h.raw))) // a header may have more fill than it needs
		if !bytes.Equal(again[:n], h.raw[:n]) {
			t.Fatal("parsed, but is laid out differently")
		}
		h.info()
		// Seeds differ between the processes of a fuzzing run, so the true key is
		// only exercised; what must never open is the right slot with another key.
		_, _, _, _ = openHeader(bytes.NewReader(b), []Identity{epoch(1)})
		if _, _, _, err := openHeader(bytes.NewReader(b), []Identity{Epoch(project, 1, [32]byte{})}); err == nil {
			t.Fatal("opens with a key it was not sealed to")
		}
	})
}
