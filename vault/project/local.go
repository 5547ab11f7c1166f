package project

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/vault/account"
)

// LocalKey is the key for what one device keeps of a project beside the vault:
// use says what it is. It follows from the device's own secret, which lies in
// the vault, so it needs no place of its own and survives a rotation of the
// vault's key.
func LocalKey(me *account.Me, pid id.ID, use string) ([32]byte, error) {
	k, err := hkdf.Key(sha512.New, me.Device.Seed(), pid[:], string(doc.LP([]byte("cipherdeck/local/v1"), []byte(use))), 32)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(k), nil
}

// ErrOffline is wrapped for what is not on this machine.
var ErrOffline = errors.New("not on this machine")

// Outbox keeps blobs that were made here and no server has.
type Outbox interface {
	Cache
	IDs() ([]id.ID, error)
}

// Local is a project's place while no server is there: what the cache has, from
// the head that was seen last, and an outbox for what is made meanwhile. It has
// no head to change: changes are intents then.
func Local(head id.ID, c Cache, out Outbox) Server { return local{head, c, out} }

type local struct {
	head id.ID
	c    Cache
	out  Outbox
}

// Head is the link that was seen last.
func (l local) Head(context.Context, string) ([]byte, uint64, error) {
	if b, ok := l.c.Get(l.head); ok && id.Of(b) == l.head {
		return b, 0, nil
	}
	return nil, 0, fmt.Errorf("%w: link %s of the project; open it once while the server is there", ErrOffline, l.head.Short())
}

// CAS refuses.
func (l local) CAS(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, fmt.Errorf("%w: the project's head", ErrOffline)
}

// Have says what is here.
func (l local) Have(_ context.Context, ids []id.ID) ([]bool, error) {
	all := make([]bool, len(ids))
	for k, i := range ids {
		_, all[k] = l.out.Get(i)
	}
	return all, nil
}

// PutBlob puts a blob into the outbox.
func (l local) PutBlob(_ context.Context, i id.ID, n int64, r io.Reader) error {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	l.out.Put(i, b)
	if got, ok := l.out.Get(i); !ok || id.Of(got) != i {
		return fmt.Errorf("%w: blob %s could not be kept", ErrOffline, i.Short())
	}
	return nil
}

// GetBlob gives what is here.
func (l local) GetBlob(_ context.Context, i id.ID, _, _ int64) (io.ReadCloser, error) {
	for _, c := range []Cache{l.out, l.c} {
		if b, ok := c.Get(i); ok && id.Of(b) == i {
			return io.NopCloser(bytes.NewReader(b)), nil
		}
	}
	return nil, fmt.Errorf("%w: blob %s", ErrOffline, i.Short())
}

// KeepIntents makes p a project that changes nothing but log: what is pending
// shows, and what is done from now on is appended.
func (p *Project) KeepIntents(ctx context.Context, log Intents, pending []Op) error {
	p.intents = log
	x := p.index.Begin(ctx, p.nodes())
	for _, o := range pending {
		if err := p.apply(x, o, true); err != nil && !isNotFound(err) {
			return damaged(err)
		}
	}
	p.index = x.Preview()
	return nil
}

// Offline reports whether changes of p are kept as intents.
func (p *Project) Offline() bool { return p.intents != nil }

// Prefetch fetches what of the index is not on this machine, so that it can be
// worked with when the server is not there.
func (p *Project) Prefetch(ctx context.Context) error {
	c, ok := p.srv.(*cached)
	if !ok || p.damage != nil || p.keys == nil {
		return nil
	}
	var missing []id.ID
	for _, i := range p.index.Shards() {
		if !c.c.Has(i) {
			missing = append(missing, i)
		}
	}
	for len(missing) > 0 {
		part := missing[:min(atOnce, len(missing))]
		missing = missing[len(part):]
		err := together(len(part), func(k int) error {
			_, err := ReadBlob(ctx, p.srv, part[k], maxIndexBlob)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
