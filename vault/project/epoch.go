package project

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/seal"
	"cipherdeck/vault/account"
)

// maxWraps bounds the blob of wrapped epoch keys: the most members, at 4 KiB.
const maxWraps = chain.MaxMembers * (4 << 10)

// ring is the epoch keys that an identity holds, by epoch.
type ring map[uint32][32]byte

// key is the key of an epoch. The error wraps ErrNoKey: an absent key must
// never be taken for one of zero bytes.
func (r ring) key(epoch uint32) ([32]byte, error) {
	k, ok := r[epoch]
	if !ok {
		return k, fmt.Errorf("%w: epoch %d", ErrNoKey, epoch)
	}
	return k, nil
}

// label builds the context of everything that is encrypted in a project: what
// it is, of which project, in which epoch.
func label(what string, nonce [32]byte, epoch uint32, more ...[]byte) []byte {
	parts := [][]byte{[]byte("cipherdeck/project/v1/" + what), nonce[:], binary.BigEndian.AppendUint32(nil, epoch)}
	return doc.LP(append(parts, more...)...)
}

// subkey derives the key for one use of an epoch key.
func subkey(epochKey [32]byte, use string) ([32]byte, error) {
	k, err := hkdf.Expand(sha512.New, epochKey[:], "cipherdeck/project/v1/"+use, 32)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(k), nil
}

func commitment(key, nonce [32]byte, epoch uint32) [32]byte {
	m := hmac.New(sha256.New, key[:])
	m.Write(label("commit", nonce, epoch))
	return [32]byte(m.Sum(nil))
}

// genesis makes the first epoch of a new project.
func genesis(me *account.Me) (chain.GenesisBody, [32]byte, []byte, error) {
	b := chain.GenesisBody{Owner: me.Account.Raw}
	rand.Read(b.Nonce[:])
	members := map[chain.UID]chain.Member{me.Account.UID: {Account: me.Account, Role: chain.Owner}}
	e, key, wraps, err := newEpoch(b.Nonce, 1, nil, members)
	b.Epoch = e
	return b, key, wraps, err
}

// newEpoch makes a random epoch key, wraps it for every member with a right to
// read, and seals the key before it under it.
func newEpoch(nonce [32]byte, number uint32, prev *[32]byte, members map[chain.UID]chain.Member) (chain.Epoch, [32]byte, []byte, error) {
	var key [32]byte
	rand.Read(key[:])
	e := chain.Epoch{Number: number, Commit: commitment(key, nonce, number)}
	var wraps []chain.Wrap
	for _, u := range chain.SortedUIDs(members) {
		m := members[u]
		if !m.Role.Allows(chain.OpRead) {
			continue
		}
		body, err := wrapFor(m.Account, key, nonce, number)
		if err != nil {
			return e, key, nil, fmt.Errorf("wrap for %s: %w", m.Account.Name, err)
		}
		wraps = append(wraps, chain.Wrap{UID: u, Body: body})
	}
	blob, err := doc.Encode(wraps)
	if err != nil {
		return e, key, nil, err
	}
	e.Wraps = id.Of(blob)
	if prev != nil {
		e.Prev, err = sealSmall(key, "prev", label("prev", nonce, number), prev[:])
	}
	return e, key, blob, err
}

func wrapFor(a *chain.Account, key, nonce [32]byte, epoch uint32) ([]byte, error) {
	return seal.WrapKey(keys.Public{RSA: a.RSA, XWing: a.XWing}, key, label("epoch", nonce, epoch, a.UID[:]))
}

// unwrapAll opens every epoch key that me can reach: the newest one wrapped
// for me, then backwards through the sealed previous keys. The newest epoch
// must be among them.
func unwrapAll(ctx context.Context, srv Server, me *account.Me, st *chain.State) (ring, error) {
	r, err := reach(ctx, srv, me, st)
	if err != nil {
		return nil, err
	}
	if _, ok := r[st.Epoch().Number]; !ok {
		return nil, fmt.Errorf("%w: epoch %d", ErrNoKey, st.Epoch().Number)
	}
	return r, nil
}

// reach opens every epoch key that the identity me can open from everything
// that a server holds, member or not.
func reach(ctx context.Context, srv Server, me *account.Me, st *chain.State) (ring, error) {
	r := ring{}
	for i := len(st.Epochs) - 1; i >= 0; i-- {
		e := st.Epochs[i]
		key, ok, err := epochKey(ctx, srv, me, st, e)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		return r, r.addBackwards(st, key, i)
	}
	return r, nil
}

// addBackwards adds the key of st.Epochs[i] and of all epochs before it.
func (r ring) addBackwards(st *chain.State, key [32]byte, i int) error {
	for ; i >= 0; i-- {
		e := st.Epochs[i]
		if commitment(key, st.Nonce, e.Number) != e.Commit {
			return fmt.Errorf("%w: key of epoch %d does not match its commitment", ErrDamaged, e.Number)
		}
		r[e.Number] = key
		if i == 0 {
			return nil
		}
		prev, err := openSmall(key, "prev", label("prev", st.Nonce, e.Number), e.Prev)
		if err != nil || len(prev) != len(key) {
			return fmt.Errorf("%w: previous key in epoch %d", ErrDamaged, e.Number)
		}
		key = [32]byte(prev)
	}
	return nil
}

// epochKey opens the key of e from the wrap that the add link of me carries,
// or from the blob of wraps.
func epochKey(ctx context.Context, srv Server, me *account.Me, st *chain.State, e chain.Epoch) ([32]byte, bool, error) {
	uid := me.Account.UID
	body := []byte(nil)
	m, ok := st.Members[uid]
	if !ok {
		m = st.Former[uid]
	}
	if m.Epoch == e.Number && len(m.Wrap) > 0 {
		body = m.Wrap
	} else {
		raw, err := ReadBlob(ctx, srv, e.Wraps, maxWraps)
		if err != nil {
			return [32]byte{}, false, fmt.Errorf("wrapped keys of epoch %d: %w", e.Number, err)
		}
		var wraps []chain.Wrap
		if err := doc.Decode(raw, &wraps); err != nil {
			return [32]byte{}, false, fmt.Errorf("wrapped keys of epoch %d: %w", e.Number, err)
		}
		for _, w := range wraps {
			if w.UID == uid {
				body = w.Body
			}
		}
	}
	if body == nil {
		return [32]byte{}, false, nil
	}
	var err error
	for _, pair := range append([]keys.Pair{me.Pair}, me.Former...) {
		var key [32]byte
		if key, err = seal.UnwrapKey(pair, body, label("epoch", st.Nonce, e.Number, uid[:])); err == nil {
			return key, true, nil
		}
	}
	return [32]byte{}, false, fmt.Errorf("key of epoch %d: %w", e.Number, err)
}

func sealSmall(epochKey [32]byte, use string, context, b []byte) ([]byte, error) {
	k, err := subkey(epochKey, use)
	if err != nil {
		return nil, err
	}
	return cobblestone.Seal(k, context, b)
}

func openSmall(epochKey [32]byte, use string, context, b []byte) ([]byte, error) {
	k, err := subkey(epochKey, use)
	if err != nil {
		return nil, err
	}
	return cobblestone.Open(k, context, b)
}
