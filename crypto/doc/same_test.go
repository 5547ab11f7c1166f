package doc

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"testing"
)

// Same signs to the same bytes, and Open takes them as any other signature.
func TestSame(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	same := Same{PrivateKey: k, Salt: [32]byte{1}}
	signed := func(body int, s Same) []byte {
		raw, err := Sign("test/a", body, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(raw, "test/a", 4096, Keys(&k.PublicKey)); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	a := signed(1, same)
	if !bytes.Equal(a, signed(1, same)) {
		t.Error("two signatures of one document differ")
	}
	if bytes.Equal(a, signed(1, Same{PrivateKey: k, Salt: [32]byte{2}})) {
		t.Error("the salt does not depend on its key")
	}
	plain, err := Sign("test/a", 1, k)
	if err != nil || bytes.Equal(a, plain) {
		t.Errorf("an ordinary signature has no chance in it: %v", err)
	}
	if s := fmt.Sprintf("%v %+v %#v", same, same, same); strings.Contains(s, "Primes") {
		t.Error("printing shows the key")
	}
}
