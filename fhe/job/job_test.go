package job_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"reflect"
	"testing"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/fhe/job"
)

// asked is a job and what an honest node signs for it.
func asked(t *testing.T) (name id.ID, j job.JobDoc, r job.Result, key ed25519.PrivateKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	j = job.JobDoc{V: 1, Project: id.Of([]byte("project")), Plan: id.Of([]byte("plan")), Model: id.Of([]byte("model")),
		Inputs: id.Of([]byte("inputs")), MinIsolation: job.IsolationProcess, NotAfter: 2e9}
	name = id.Of([]byte("signed job"))
	r = job.Result{V: 1, Job: name, Plan: j.Plan, Model: j.Model, Inputs: j.Inputs, Outputs: id.Of([]byte("outputs")),
		Isolation: job.IsolationProcess, Engine: "test", Millis: 12}
	return name, j, r, key
}

func sign(t *testing.T, r job.Result, key ed25519.PrivateKey) []byte {
	t.Helper()
	raw, err := doc.Sign(job.ResultType, r, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Every single bit of the envelope counts, and so does its length.
func TestEveryBitOfAResultCounts(t *testing.T) {
	name, j, r, key := asked(t)
	raw := sign(t, r, key)
	got, err := job.OpenResult(raw, name, j, key.Public())
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Fatalf("control: %+v, %v", got, err)
	}
	for i := range raw {
		for bit := range 8 {
			bad := bytes.Clone(raw)
			bad[i] ^= 1 << bit
			if _, err := job.OpenResult(bad, name, j, key.Public()); err == nil {
				t.Errorf("byte %d of %d, bit %d: opened", i, len(raw), bit)
			}
		}
		if _, err := job.OpenResult(raw[:i], name, j, key.Public()); err == nil {
			t.Errorf("cut to %d bytes: opened", i)
		}
	}
	if _, err := job.OpenResult(append(bytes.Clone(raw), 0), name, j, key.Public()); err == nil {
		t.Error("one byte more: opened")
	}
}

// A result that its node signed, for something else than was asked.
func TestResultOfAnotherQuestion(t *testing.T) {
	name, j, r, key := asked(t)
	other := id.Of([]byte("other"))
	for field, edit := range map[string]func(*job.Result){
		"job": func(r *job.Result) { r.Job = other }, "plan": func(r *job.Result) { r.Plan = other },
		"model": func(r *job.Result) { r.Model = other }, "inputs": func(r *job.Result) { r.Inputs = other },
		"v": func(r *job.Result) { r.V = 2 }, "isolation": func(r *job.Result) { r.Isolation = 0 },
	} {
		bad := r
		edit(&bad)
		if _, err := job.OpenResult(sign(t, bad, key), name, j, key.Public()); !errors.Is(err, job.ErrMismatch) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestResultOfAnotherNode(t *testing.T) {
	name, j, r, key := asked(t)
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := job.OpenResult(sign(t, r, stranger), name, j, key.Public()); err == nil {
		t.Error("signed by a stranger: opened")
	}
	raw, err := doc.Sign(job.DocType, r, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := job.OpenResult(raw, name, j, key.Public()); err == nil {
		t.Error("signed as another type of document: opened")
	}
}
