package job_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/fhe/job"
)

// TestProof: of the key that it was made with and of every field; a result
// without one has the bytes that it always had.
func TestProof(t *testing.T) {
	_, _, r, _ := asked(t)
	key := [32]byte{1, 2, 3}
	plain, err := doc.Encode(r)
	if err != nil || plain[0] != 0xA9 {
		t.Fatalf("%x, %v", plain[:1], err)
	}
	if err := job.CheckProof(r, key); !errors.Is(err, job.ErrProof) {
		t.Errorf("none: %v", err)
	}
	if r.Proof, err = r.Prove(key); err != nil {
		t.Fatal(err)
	}
	if err := job.CheckProof(r, key); err != nil {
		t.Fatal(err)
	}
	if again, err := r.Prove(key); err != nil || !bytes.Equal(again, r.Proof) {
		t.Errorf("a proof of a proof: %x, %v", again, err)
	}
	if err := job.CheckProof(r, [32]byte{1, 2, 4}); !errors.Is(err, job.ErrProof) {
		t.Errorf("another key: %v", err)
	}
	for i := range r.Proof {
		bad := r
		bad.Proof = bytes.Clone(r.Proof)
		bad.Proof[i] ^= 1
		if err := job.CheckProof(bad, key); !errors.Is(err, job.ErrProof) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	other := id.Of([]byte("other"))
	for field, edit := range map[string]func(*job.Result){
		"v": func(r *job.Result) { r.V++ }, "job": func(r *job.Result) { r.Job = other }, "plan": func(r *job.Result) { r.Plan = other },
		"model": func(r *job.Result) { r.Model = other }, "inputs": func(r *job.Result) { r.Inputs = other },
		"outputs": func(r *job.Result) { r.Outputs = other }, "isolation": func(r *job.Result) { r.Isolation++ },
		"engine": func(r *job.Result) { r.Engine += "x" }, "millis": func(r *job.Result) { r.Millis++ },
	} {
		bad := r
		edit(&bad)
		if err := job.CheckProof(bad, key); !errors.Is(err, job.ErrProof) {
			t.Errorf("%s: %v", field, err)
		}
	}
	fixed, err := job.Result{V: 1, Engine: "e"}.Prove([32]byte{9})
	if err != nil || hex.EncodeToString(fixed) != vector {
		t.Errorf("vector %x, %v", fixed, err)
	}
}

// vector is the proof of {V: 1, Engine: "e"} with the key 09 00…00, as
// docs/formats/attestation.md has it.
const vector = "00b9b8f33aa5a4f29fcd3ce48c71c8412cefd8de7d95883c61c47bb4ef4eecee"

// TestTerms: the terms name what the document names, and a document without a
// release has the bytes that it always had.
func TestTerms(t *testing.T) {
	_, j, _, _ := asked(t)
	j.Grant, j.Nonce = id.Of([]byte("grant")), [16]byte{5}
	k := j.Terms()
	if k.V != 1 || k.Project != j.Project || k.Grant != j.Grant || k.Job != j.Nonce || k.Model != j.Model || k.Plan != j.Plan ||
		k.Inputs != j.Inputs || k.Op != 1 || k.NotAfter != j.NotAfter {
		t.Errorf("%+v of %+v", k, j)
	}
	if raw, err := doc.Encode(j); err != nil || raw[0] != 0xAA {
		t.Errorf("%x, %v", raw[:1], err)
	}
}
