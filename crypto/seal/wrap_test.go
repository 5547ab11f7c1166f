package seal

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"cipherdeck/crypto/keys"
)

// Test identities: made once, because RSA takes 0.1 s each.
var testPairs = [...]func() keys.Pair{makePair(1), makePair(2)}

func makePair(b byte) func() keys.Pair {
	return sync.OnceValue(func() keys.Pair {
		p, err := keys.NewPair(context.Background(), keys.Seed{b}, 2048)
		if err != nil {
			panic(err)
		}
		return p
	})
}

func TestWrapKey(t *testing.T) {
	me, other := testPairs[0](), testPairs[1]()
	key, ctx := [32]byte{7, 8, 9}, []byte("project 1 epoch 2")
	w, err := WrapKey(me.Public(), key, ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(w) != 1200+256 {
		t.Errorf("%d bytes", len(w))
	}
	if got, err := UnwrapKey(me, w, ctx); err != nil || got != key {
		t.Fatalf("got %x, %v", got, err)
	}
	again, _ := WrapKey(me.Public(), key, ctx)
	if bytes.Equal(w[32:], again[32:]) {
		t.Error("two wraps are equal")
	}
	half := keys.Pair{RSA: me.RSA, XWing: other.XWing}
	for name, c := range map[string]struct {
		pair keys.Pair
		w    []byte
		ctx  string
		want error
	}{
		"other identity": {other, w, string(ctx), ErrNotRecipient},
		"half identity":  {half, w, string(ctx), ErrNotRecipient},
		"other context":  {me, w, "project 1 epoch 3", ErrAuth},
		"empty":          {me, nil, string(ctx), ErrHeader},
		"cut":            {me, w[:len(w)-1], string(ctx), ErrAuth},
		"longer":         {me, append(bytes.Clone(w), 0), string(ctx), ErrAuth},
	} {
		if _, err := UnwrapKey(c.pair, c.w, []byte(c.ctx)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for i := range w { // one bit of each byte: a full sweep is 11 000 RSA operations
		bad := bytes.Clone(w)
		bad[i] ^= 1 << (i % 8)
		if _, err := UnwrapKey(me, bad, ctx); err == nil {
			t.Fatalf("byte %d changed and still opens", i)
		}
	}
}

// Each half alone must not be enough: with the key ids of the victim in place,
// a body whose other half is to another identity does not open.
func TestHybridNeedsBothHalves(t *testing.T) {
	me, other := testPairs[0](), testPairs[1]()
	mixed := keys.Public{RSA: me.Public().RSA, XWing: other.Public().XWing}
	key := [32]byte{1}
	w, err := WrapKey(mixed, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	kids, _ := hybridKeyIDs(me.Public())
	copy(w, kids)
	if _, err := UnwrapKey(me, w, nil); !errors.Is(err, ErrAuth) {
		t.Fatalf("opens with the RSA half only: %v", err)
	}
}

func TestWrapKeyRefusesBadPublic(t *testing.T) {
	me := testPairs[0]().Public()
	if _, err := WrapKey(keys.Public{RSA: me.RSA, XWing: me.XWing[1:]}, [32]byte{}, nil); !errors.Is(err, keys.ErrXWing) {
		t.Error(err)
	}
	if _, err := WrapKey(keys.Public{XWing: me.XWing}, [32]byte{}, nil); !errors.Is(err, keys.ErrRSA) {
		t.Error(err)
	}
}
