package keys

import (
	"encoding/hex"
	"testing"
)

// What else follows from the seed of a typed secret: computed by
// vault/account/testdata/typed.py, whose hkdf is RFC 5869 with the standard
// library of Python.
func TestFirstDeviceForEver(t *testing.T) {
	b, err := hex.DecodeString("2cf6aa5dbb43991ac3171e15320f5a50d7d287fb97c59123a3673c3e3ce1ebdc")
	if err != nil {
		t.Fatal(err)
	}
	d, err1 := FirstDevice(Seed(b))
	s, err2 := SaltKey(Seed(b))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if got := hex.EncodeToString(d[:]); got != "d181561622936568cd695d75df6e0a00a5d82c8a5007e6972a3ac68778e3761f" {
		t.Errorf("device seed %s", got)
	}
	if s == [32]byte(d) || s == [32]byte(b) {
		t.Error("two keys are the same")
	}
}
