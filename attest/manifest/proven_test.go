package manifest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"cipherdeck/attest"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

const origin = "cipherdeck/test"

func cosigner(t *testing.T, kind byte, name string, b byte) *tlog.Signer {
	t.Helper()
	s, err := tlog.NewSigner(kind, name, key(b), func() time.Time { return time.Unix(1000, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func logKey(t *testing.T, kind byte, name string, b byte) tlog.Key {
	t.Helper()
	k, err := tlog.NewKey(kind, name, public(b))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// journalled is a proof that leaf is the only one of a log.
func journalled(t *testing.T, leaf tlog.Leaf, by ...*tlog.Signer) []byte {
	t.Helper()
	raw, err := leaf.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return under(t, raw, tlog.LeafHash(raw), by...)
}

func under(t *testing.T, leaf []byte, root id.ID, by ...*tlog.Signer) []byte {
	t.Helper()
	var all []note.Signer
	for _, s := range by {
		all = append(all, s.Note())
	}
	c, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n1\n%s\n", origin, base64.StdEncoding.EncodeToString(root[:]))}, all...)
	if err != nil {
		t.Fatal(err)
	}
	return tlog.Bundle{Extra: leaf, Checkpoint: c}.Format()
}

func TestProven(t *testing.T) {
	signed, other := sign(t, full(), key(1)), sign(t, good(), key(1))
	log, wit := cosigner(t, tlog.Log, origin, 5), cosigner(t, tlog.Witness, "witness", 6)
	leaf := tlog.Leaf{V: 1, Action: tlog.ActManifest, Doc: tlog.DocTag(signed)}
	job := leaf
	job.Action = tlog.ActJob
	loose := &tlog.Policy{Log: logKey(t, tlog.Log, origin, 5)}
	strict := &tlog.Policy{Log: loose.Log, Witnesses: []tlog.Key{logKey(t, tlog.Witness, "witness", 6)}, Need: 1}
	raw, err := leaf.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signed, proof []byte
		p             *tlog.Policy
		want          attest.State
		says          string
	}{
		"no journal is pinned":         {signed, journalled(t, leaf, log), nil, attest.NotChecked, "no journal"},
		"witnessed":                    {signed, journalled(t, leaf, log, wit), strict, attest.Pass, "1 leaves"},
		"nobody watches":               {signed, journalled(t, leaf, log), loose, attest.Warn, "not witnessed"},
		"none, and nobody watches":     {signed, nil, loose, attest.Warn, "no inclusion proof"},
		"none, and a witness is asked": {signed, nil, strict, attest.Fail, "no inclusion proof"},
		"67 not witnessed":             {signed, journalled(t, leaf, log), strict, attest.Fail, "in the journal of"},
		"67 journal of another":        {signed, journalled(t, leaf, cosigner(t, tlog.Log, origin, 7)), loose, attest.Fail, "checkpoint"},
		"leaf of another manifest":     {other, journalled(t, leaf, log, wit), strict, attest.Fail, "something else"},
		"leaf of a job":                {signed, journalled(t, job, log, wit), strict, attest.Fail, "something else"},
		"not under the root":           {signed, under(t, raw, id.ID{1}, log, wit), strict, attest.Fail, "proof"},
		"junk":                         {signed, []byte("x"), loose, attest.Fail, "proof"},
		"junk for a leaf":              {signed, under(t, []byte("x"), tlog.LeafHash([]byte("x")), log), loose, attest.Fail, "leaf"},
	} {
		state, says := Proven(c.signed, c.proof, c.p, time.Unix(1000, 0))
		if state != c.want || !strings.Contains(says, c.says) {
			t.Errorf("%s: %s, %q", name, state, says)
		}
	}
}
