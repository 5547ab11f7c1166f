package chain

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cipherdeck/crypto/id"
)

// liveVector is a project/live and its blob of ids, at the genesis of project.json.
type liveVector struct {
	Live []byte  `json:"live"` // base64
	Time int64   `json:"time"`
	List []byte  `json:"list"` // base64
	IDs  []id.ID `json:"ids"`
}

// TestLiveVector reads what was signed once, bit by bit the same when it is
// signed again, and refuses it at any other link and time.
func TestLiveVector(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "project.json"))
	if err != nil {
		t.Fatal(err)
	}
	var links []vector
	if err := json.Unmarshal(raw, &links); err != nil {
		t.Fatal(err)
	}
	s := must(Begin(links[0].Link))
	alice := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	at := time.UnixMilli(1_700_000_000_000)
	ids := []id.ID{{1}, {2}, {2, 1}}
	lists := LiveLists(ids)
	var author UID
	for u := range s.Members {
		author = u
	}
	signed := must(s.SignLive([]id.ID{id.Of(lists[0])}, len(ids), author, alice, at))
	path := filepath.Join("testdata", "live.json")
	if *update {
		raw := must(json.MarshalIndent(liveVector{signed, at.UnixMilli(), lists[0], ids}, "", " "))
		if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var v liveVector
	if err := json.Unmarshal(must(os.ReadFile(path)), &v); err != nil {
		t.Fatal(err)
	}
	l, err := s.OpenLive(v.Live, time.UnixMilli(v.Time))
	if err != nil || l.Count != uint64(len(v.IDs)) || len(l.Lists) != 1 || l.Lists[0] != id.Of(v.List) || l.Head != s.Head {
		t.Fatalf("%+v, %v", l, err)
	}
	var got []id.ID
	if _, err := ReadLive(v.List, id.ID{}, func(i id.ID) { got = append(got, i) }); err != nil || len(got) != 3 || got[2] != v.IDs[2] {
		t.Errorf("%v, %v", got, err)
	}
	if !bytes.Equal(signed, v.Live) {
		t.Error("signed again it is another")
	}
	if _, err := must(s.Next(links[1].Link)).OpenLive(v.Live, time.UnixMilli(v.Time)); err == nil {
		t.Error("taken at a later link")
	}
	if _, err := s.OpenLive(v.Live, time.UnixMilli(v.Time).Add(time.Hour)); err == nil {
		t.Error("taken an hour later")
	}
}
