package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/http/httptest"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/mem"
)

// unreadable are documents that can be written and not read just now.
type unreadable struct{ store.Docs }

func (unreadable) Get(context.Context, string) (store.Doc, error) {
	return store.Doc{}, store.ErrUnavailable
}

// TestClosedWhileStoreFails enrols a stranger at a server that is closed and
// whose store does not answer.
func TestClosedWhileStoreFails(t *testing.T) {
	_, device, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	acc, err := chain.NewAccount(chain.Node, "stranger", 1, nil, device, bytes.Repeat([]byte{7}, 1216))
	if err != nil {
		t.Fatal(err)
	}
	docs := mem.NewDocs()
	cfg := DefaultConfig()
	cfg.Enrolment = EnrolClosed
	s := &Server{cfg: cfg, accounts: &accounts{docs: unreadable{docs}, known: newCache[chain.UID](cacheBytes, sizeOf)}}
	r := httptest.NewRequest("PUT", "/v1/accounts/"+acc.UID.String(), bytes.NewReader(acc.Raw))
	r.SetPathValue("uid", acc.UID.String())
	if err := s.enrol(&call{w: httptest.NewRecorder(), r: r}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("enrol: %v", err)
	}
	if _, err := docs.Get(t.Context(), accountKey(acc.UID)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the stranger is enrolled: %v", err)
	}
}
