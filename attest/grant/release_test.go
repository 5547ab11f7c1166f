package grant

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

var update = flag.Bool("update", false, "make testdata/release-v1.json anew: only for a new version of it")

// software is a key outside any TPM, so that what is sealed can be looked at.
func software(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	d := sha256.Sum256([]byte("cipherdeck/grant/vector"))
	k, err := ecdh.P256().NewPrivateKey(d[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func vectorTerms() Terms {
	return Terms{V: 1, Project: id.Of([]byte("project")), Grant: id.Of([]byte("grant")), Job: [16]byte{1, 2, 3},
		Model: id.Of([]byte("model")), Plan: id.Of([]byte("plan")), Inputs: id.Of([]byte("inputs")), Op: 1, NotAfter: 1_800_000_060}
}

func before() time.Time { return time.Unix(1_800_000_000, 0) }

// vector is testdata/release-v1.json: bytes in hex.
type vector struct {
	Suite   string `json:"suite"`
	Private string `json:"private_key"` // the scalar
	Point   string `json:"public_key"`  // uncompressed
	Terms   string `json:"terms"`       // deterministic CBOR
	Info    string `json:"info"`        // of HPKE
	Key     string `json:"job_key"`
	Sealed  string `json:"sealed"` // encapsulated key, then ciphertext
}

func readVector(t testing.TB) (v vector, sealed []byte) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "release-v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if sealed, err = hex.DecodeString(v.Sealed); err != nil {
		t.Fatal(err)
	}
	return v, sealed
}

// TestVector: what was sealed once opens for ever, and its parts are as written
// down for others.
func TestVector(t *testing.T) {
	k, terms, key := software(t), vectorTerms(), sha256.Sum256([]byte("the key of one job"))
	if *update {
		s, err := Seal(k.PublicKey().Bytes(), terms, key)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := doc.Encode(terms)
		if err != nil {
			t.Fatal(err)
		}
		out, err := json.MarshalIndent(vector{
			Suite:   "HPKE base mode: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; no additional data",
			Private: hex.EncodeToString(k.Bytes()), Point: hex.EncodeToString(k.PublicKey().Bytes()), Terms: hex.EncodeToString(raw),
			Info: hex.EncodeToString(doc.LP([]byte("cipherdeck/grant/release/v1"), raw)), Key: hex.EncodeToString(key[:]), Sealed: hex.EncodeToString(s),
		}, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", "release-v1.json"), append(out, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	v, s := readVector(t)
	info, err := terms.info()
	if err != nil || hex.EncodeToString(info) != v.Info {
		t.Errorf("info %x, %v", info, err)
	}
	got, err := open(k, s, terms, before())
	if err != nil || hex.EncodeToString(got[:]) != v.Key {
		t.Errorf("opened %x, %v", got, err)
	}
}

// TestOtherTerms: each term counts.
func TestOtherTerms(t *testing.T) {
	k := software(t)
	_, s := readVector(t)
	other := id.Of([]byte("other"))
	for name, change := range map[string]func(*Terms){
		"project": func(t *Terms) { t.Project = other }, "grant": func(t *Terms) { t.Grant = other },
		"job": func(t *Terms) { t.Job[15] ^= 1 }, "model": func(t *Terms) { t.Model = other },
		"plan": func(t *Terms) { t.Plan = other }, "inputs": func(t *Terms) { t.Inputs = other },
		"operation": func(t *Terms) { t.Op = 2 }, "expiry": func(t *Terms) { t.NotAfter++ },
	} {
		bad := vectorTerms()
		change(&bad)
		if got, err := open(k, s, bad, before()); !errors.Is(err, ErrTerms) || got != [KeySize]byte{} {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	for _, at := range []int64{vectorTerms().NotAfter, vectorTerms().NotAfter + 1} {
		if _, err := open(k, s, vectorTerms(), time.Unix(at, 0)); !errors.Is(err, ErrExpired) {
			t.Errorf("at %d: %v", at, err)
		}
	}
}

// TestEveryBit: of a sealed key counts, and so does its length.
func TestEveryBit(t *testing.T) {
	k := software(t)
	_, s := readVector(t)
	for i := range s {
		for bit := range 8 {
			bad := bytes.Clone(s)
			bad[i] ^= 1 << bit
			if got, err := open(k, bad, vectorTerms(), before()); !errors.Is(err, ErrTerms) && !errors.Is(err, ErrSealed) || got != [KeySize]byte{} {
				t.Fatalf("byte %d, bit %d: %x, %v", i, bit, got, err)
			}
		}
		if _, err := open(k, s[:i], vectorTerms(), before()); !errors.Is(err, ErrSealed) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := open(k, append(bytes.Clone(s), 0), vectorTerms(), before()); !errors.Is(err, ErrSealed) {
		t.Errorf("one byte more: %v", err)
	}
}

// TestBadPoints: neither end does anything with what is no point of the curve.
// The curve has a prime order, so there is none of low order but infinity.
func TestBadPoints(t *testing.T) {
	k := software(t)
	_, s := readVector(t)
	good := s[:pointSize]
	p := elliptic.P256().Params().P
	points := map[string][]byte{
		"zero":           append([]byte{4}, make([]byte, 64)...),
		"off the curve":  append(append([]byte{4}, good[1:33]...), make([]byte, 32)...),
		"other form":     append([]byte{0}, good[1:]...),
		"beyond p":       append(append([]byte{4}, new(big.Int).Add(p, big.NewInt(1)).FillBytes(make([]byte, 32))...), good[33:]...),
		"compressed":     append([]byte{2 + good[64]&1}, good[1:33]...),
		"infinity":       {0},
		"nothing":        {},
		"another length": good[:64],
	}
	for name, point := range points {
		if _, err := Seal(point, vectorTerms(), [KeySize]byte{1}); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: sealed to it: %v", name, err)
		}
		if _, err := open(k, append(bytes.Clone(point), s[pointSize:]...), vectorTerms(), before()); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: opened with it: %v", name, err)
		}
	}
}

// FuzzOpen: nothing opens but what was sealed.
func FuzzOpen(f *testing.F) {
	k := software(f)
	v, s := readVector(f)
	f.Add(s)
	f.Add(s[:pointSize])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := open(k, in, vectorTerms(), before())
		if err == nil && (!bytes.Equal(in, s) || hex.EncodeToString(got[:]) != v.Key) {
			t.Fatalf("nobody sealed %x: %x", in, got)
		}
		if err != nil && !errors.Is(err, ErrSealed) && !errors.Is(err, ErrTerms) {
			t.Fatal(err)
		}
	})
}

// FuzzTerms: a sealed key opens under its own terms alone, and terms have one
// encoding.
func FuzzTerms(f *testing.F) {
	k := software(f)
	_, s := readVector(f)
	raw, err := doc.Encode(vectorTerms())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Fuzz(func(t *testing.T, in []byte) {
		var terms Terms
		if doc.Decode(in, &terms) != nil || terms.V != version {
			return
		}
		if again, err := doc.Encode(terms); err != nil || !bytes.Equal(again, in) {
			t.Fatalf("%x is written %x, %v", in, again, err)
		}
		_, err := open(k, s, terms, before())
		if (err == nil) != bytes.Equal(in, raw) {
			t.Fatalf("opened under %x: %v", in, err)
		}
	})
}
