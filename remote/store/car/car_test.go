package car_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store/car"
)

// TestBytes holds the archive of one block to bytes worked out by hand from
// the specification.
func TestBytes(t *testing.T) {
	block := []byte("hello")
	i := id.Of(block)
	var b bytes.Buffer
	w, err := car.NewWriter(&b, i)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Put(i, block); err != nil {
		t.Fatal(err)
	}
	hash := hex.EncodeToString(i[:])
	want := "3a" + "a2" + "65726f6f7473" + "81" + "d82a" + "5825" + "00" + "01551220" + hash + "6776657273696f6e" + "01" +
		"29" + "01551220" + hash + "68656c6c6f"
	if got := hex.EncodeToString(b.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := w.Put(i, []byte("other")); err == nil {
		t.Error("a block under another name was taken")
	}
}
