package coretex

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/seal"
)

// Keys that PyCryptodome made from the same secrets: n, p and d.
func TestKeysOfPyCryptodome(t *testing.T) {
	raw, err := os.ReadFile("testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Keys []struct {
			Secret string `json:"secret"`
			Bits   int    `json:"bits"`
			N      string `json:"n_sha256"`
			P      string `json:"p_sha256"`
			D      string `json:"d_sha256"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(raw, &file); err != nil || len(file.Keys) != 8 {
		t.Fatal(len(file.Keys), err)
	}
	for _, v := range file.Keys {
		if v.Bits == 4096 && testing.Short() {
			continue
		}
		k, err := RSA(t.Context(), v.Secret, v.Bits)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			n    *big.Int
			size int
			want string
		}{"n": {k.N, v.Bits / 8, v.N}, "p": {k.Primes[0], v.Bits / 16, v.P}, "d": {k.D, v.Bits / 8, v.D}} {
			sum := sha256.Sum256(c.n.FillBytes(make([]byte, c.size)))
			if hex.EncodeToString(sum[:]) != c.want {
				t.Errorf("%q, %d bits: another %s", v.Secret, v.Bits, name)
			}
		}
	}
}

func TestDerivationRefuses(t *testing.T) {
	for _, bits := range []int{0, 1024, 2047, 8192} {
		if _, err := RSA(t.Context(), "x", bits); !errors.Is(err, ErrBits) {
			t.Errorf("%d: %v", bits, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := RSA(ctx, "x", 4096); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestSecrets(t *testing.T) {
	k, err := RSA(t.Context(), "coretex", 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for _, form := range []string{text, base64.StdEncoding.EncodeToString([]byte(text)) + "\n"} {
		if again, err := ParseKey(form); err != nil || !again.Equal(k) {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "x", "-----BEGIN x", base64.StdEncoding.EncodeToString([]byte("no PEM"))} {
		if _, err := ParseKey(bad); !errors.Is(err, ErrKey) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	field := func(plain []byte) string {
		ct, err := rsa.EncryptPKCS1v15(rand.Reader, &k.PublicKey, plain)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(ct)
	}
	if got, err := SecretField(k, field([]byte("hunter2"))); err != nil || string(got) != "hunter2" {
		t.Errorf("%q %v", got, err)
	}
	project := bytes.Repeat([]byte{7}, 32)
	for _, plain := range [][]byte{project, []byte(base64.StdEncoding.EncodeToString(project))} {
		if got, err := ProjectKey(k, field(plain)); err != nil || !bytes.Equal(got[:], project) {
			t.Errorf("%x %v", got, err)
		}
	}
	for _, bad := range []string{"", "!", "AAAA", field([]byte("short"))[:340] + "AAAA"} {
		if _, err := SecretField(k, bad); !errors.Is(err, ErrSecret) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := ProjectKey(k, field([]byte("short"))); !errors.Is(err, ErrSecret) {
		t.Error(err)
	}
}

// coretexFile encrypts as Coretex does: padding only where it is needed.
func coretexFile(t *testing.T, key [32]byte, plain []byte) []byte {
	t.Helper()
	plain = bytes.Clone(plain)
	if n := block - len(plain)%block; n != block {
		plain = append(plain, bytes.Repeat([]byte{byte(n)}, n)...)
	}
	c, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	iv := bytes.Repeat([]byte{9}, block)
	cipher.NewCBCEncrypter(c, iv).CryptBlocks(plain, plain)
	return append(iv, plain...)
}

func TestFiles(t *testing.T) {
	key := [32]byte{1}
	looksPadded := append(bytes.Repeat([]byte{5}, 30), 2, 2)
	for name, c := range map[string]struct {
		plain, want []byte
		removed     int
	}{
		"empty":                  {nil, nil, 0},
		"short":                  {[]byte("hello"), []byte("hello"), 11},
		"aligned":                {bytes.Repeat([]byte{200}, 32), bytes.Repeat([]byte{200}, 32), 0},
		"aligned, looks padded":  {looksPadded, looksPadded[:30], 2},
		"more than a buffer":     {bytes.Repeat([]byte{200}, 200_001), bytes.Repeat([]byte{200}, 200_001), 15},
		"exactly a buffer":       {bytes.Repeat([]byte{200}, 64<<10), bytes.Repeat([]byte{200}, 64<<10), 0},
		"a block over a buffer":  {bytes.Repeat([]byte{200}, 64<<10+16), bytes.Repeat([]byte{200}, 64<<10+16), 0},
		"ends in a whole block":  {append(bytes.Repeat([]byte{3}, 32), bytes.Repeat([]byte{16}, 16)...), bytes.Repeat([]byte{3}, 32), 16},
		"ends in too long a run": {bytes.Repeat([]byte{17}, 32), bytes.Repeat([]byte{17}, 32), 0},
	} {
		for _, half := range []bool{false, true} {
			var src io.Reader = bytes.NewReader(coretexFile(t, key, c.plain))
			if half {
				src = iotest.HalfReader(src)
			}
			r, err := NewReader(src, key)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, c.want) || r.Result().Removed != c.removed || r.Result().Size != int64(len(c.want)) {
				t.Errorf("%s: %d bytes, %+v, %v", name, len(got), r.Result(), err)
			}
		}
	}
	whole := coretexFile(t, key, []byte("hello"))
	for n := 0; n < len(whole); n++ {
		if n == block {
			continue // an empty file
		}
		r, err := NewReader(bytes.NewReader(whole[:n]), key)
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if !errors.Is(err, ErrFile) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
}

func TestRewrap(t *testing.T) {
	dir, key := t.TempDir(), [32]byte{1}
	in, out, back := filepath.Join(dir, "sample.zip"), filepath.Join(dir, "box"), filepath.Join(dir, "back")
	plain := append([]byte("PK\x03\x04"), bytes.Repeat([]byte{7}, 100_000)...)
	if err := os.WriteFile(in, coretexFile(t, key, plain), 0o600); err != nil {
		t.Fatal(err)
	}
	me := seal.Epoch(id.Of([]byte("p")), 1, [32]byte{1})
	res, err := Rewrap(t.Context(), out, in, key, []seal.Recipient{me}, seal.FileOptions{})
	if err != nil || !res.Zip || res.Size != int64(len(plain)) {
		t.Fatalf("%+v %v", res, err)
	}
	m, err := seal.OpenFile(t.Context(), back, out, []seal.Identity{me}, seal.FileOptions{})
	got, _ := os.ReadFile(back)
	if err != nil || !bytes.Equal(got, plain) || m.Name != "sample.zip" {
		t.Error(len(got), m, err)
	}
	// a wrong key is not noticed: that is what Warning says
	res, err = Rewrap(t.Context(), out, in, [32]byte{2}, []seal.Recipient{me}, seal.FileOptions{Force: true})
	if err != nil || res.Zip {
		t.Errorf("%+v %v", res, err)
	}
}
