package tlog_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	mod "golang.org/x/mod/sumdb/tlog"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

var update = flag.Bool("update", false, "write testdata/journal-v1.json again: only for a new version of the format")

// vectors are the bytes of the journal's forms, made with fixed keys. Binary ones
// are in hex, the text forms as they are.
type vectors struct {
	LogSeed     string   `json:"log_seed"`
	LogKey      string   `json:"log_key"`
	WitnessSeed string   `json:"witness_seed"`
	WitnessKey  string   `json:"witness_key"`
	AccountUID  string   `json:"account_uid"`
	AccountTag  string   `json:"account_tag"`
	Document    string   `json:"document"`
	DocTag      string   `json:"doc_tag"`
	Leaves      []string `json:"leaves"`
	LeafHashes  []string `json:"leaf_hashes"`
	Promise     string   `json:"promise"`
	Checkpoint  string   `json:"checkpoint"`
	Cosignature string   `json:"cosignature"`
	Proof       string   `json:"proof"`
	From        uint64   `json:"consistency_from"`
	FromRoot    string   `json:"consistency_root"`
	Consistency []string `json:"consistency_path"`
}

const vectorFile = "testdata/journal-v1.json"

func fixed(t *testing.T, kind byte, name string, mark byte) (*tlog.Signer, string) {
	t.Helper()
	seed := bytes.Repeat([]byte{mark}, ed25519.SeedSize)
	s, err := tlog.NewSigner(kind, name, ed25519.NewKeyFromSeed(seed), now)
	if err != nil {
		t.Fatal(err)
	}
	return s, hex.EncodeToString(seed)
}

// made builds the vectors anew.
func made(t *testing.T) (v vectors) {
	t.Helper()
	log, logSeed := fixed(t, tlog.Log, origin, 1)
	wit, witSeed := fixed(t, tlog.Witness, "witness.example", 2)
	uid, document := bytes.Repeat([]byte{3}, 20), []byte("a signed document")
	tag := tlog.Tag(tlog.KindAccount, uid)
	v = vectors{LogSeed: logSeed, LogKey: log.Key.String(), WitnessSeed: witSeed, WitnessKey: wit.Key.String(),
		AccountUID: hex.EncodeToString(uid), AccountTag: text(tag), Document: string(document), DocTag: text(tlog.DocTag(document)), From: 2}
	r := &tree{}
	var first []byte
	for i, l := range []tlog.Leaf{
		{V: 1, Time: 1_800_000_000_000, Action: tlog.ActAccount, Object: tag, Doc: tlog.DocTag(document), Actor: bytes.Repeat([]byte{4}, 16)},
		{V: 1, Time: 1_800_000_000_001, Action: tlog.ActAccountLink, Object: tag, Doc: tlog.DocTag([]byte("a link")), Actor: bytes.Repeat([]byte{4}, 16), Seq: 1},
		{V: 1, Time: 1_800_000_000_002, Action: "login-refused", Object: tag, Actor: []byte{}},
	} {
		raw, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = raw
		}
		v.Leaves, v.LeafHashes = append(v.Leaves, hex.EncodeToString(raw)), append(v.LeafHashes, text(tlog.LeafHash(raw)))
		more, err := mod.StoredHashes(int64(i), raw, r)
		if err != nil {
			t.Fatal(err)
		}
		r.stored = append(r.stored, more...)
	}
	p, err := log.Promise(first, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	v.Promise = hex.EncodeToString(p)
	c, err := tlog.OpenCheckpoint(signed(t, origin, 3, r.root(t, 3), log), log.Key)
	if err != nil {
		t.Fatal(err)
	}
	line, err := wit.Cosign(c)
	if err != nil {
		t.Fatal(err)
	}
	v.Checkpoint, v.Cosignature, v.FromRoot = string(c.Raw), string(line), text(r.root(t, 2))
	path, err := mod.ProveRecord(3, 0, r)
	if err != nil {
		t.Fatal(err)
	}
	v.Proof = string(tlog.Bundle{Extra: first, Path: ids(path), Checkpoint: append(c.Raw, line...)}.Format())
	steps, err := mod.ProveTree(3, 2, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range ids(steps) {
		v.Consistency = append(v.Consistency, text(h))
	}
	return v
}

func text(i id.ID) string { return hex.EncodeToString(i[:]) }

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors: what was written once is still made, and still read.
func TestVectors(t *testing.T) {
	if *update {
		raw, err := json.MarshalIndent(made(t), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(made(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(again, '\n'), raw) {
		t.Errorf("%s is not what is made now: %s", vectorFile, again)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	v.read(t)
}

// read opens the frozen bytes with nothing but the frozen keys.
func (v vectors) read(t *testing.T) {
	t.Helper()
	log, err := tlog.ParseKey(v.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	wit, err := tlog.ParseKey(v.WitnessKey)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tlog.OpenPromise(unhex(t, v.Promise), log)
	if err != nil || text(p.Hash) != v.LeafHashes[0] || p.Leaf.Action != tlog.ActAccount || text(p.Leaf.Doc) != v.DocTag {
		t.Errorf("the promise: %+v, %v", p, err)
	}
	policy := tlog.Policy{Log: log, Witnesses: []tlog.Key{wit}, Need: 1}
	b, err := tlog.ParseBundle([]byte(v.Proof))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Verify(policy, tlog.LeafHash(b.Extra), now()); err != nil || !got.Witnessed() || hex.EncodeToString(b.Extra) != v.Leaves[0] {
		t.Errorf("the proof: %+v, %v", got, err)
	}
	c, err := tlog.OpenCheckpoint([]byte(v.Checkpoint), log)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := tlog.OpenCosignature(c, []byte(v.Cosignature), wit); err != nil || !at.Equal(now()) {
		t.Errorf("the cosignature: %s, %v", at, err)
	}
	var path []id.ID
	for _, h := range v.Consistency {
		path = append(path, id.ID(unhex(t, h)))
	}
	if err := c.Continues(v.From, id.ID(unhex(t, v.FromRoot)), path); err != nil {
		t.Error(err)
	}
	for i, s := range v.Leaves {
		raw := unhex(t, s)
		if _, err := tlog.OpenLeaf(raw); err != nil || text(tlog.LeafHash(raw)) != v.LeafHashes[i] {
			t.Errorf("leaf %d: %v", i, err)
		}
	}
}
