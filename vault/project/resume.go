package project

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// upload is what makes the same file, added again after a failure, the same
// ciphertext, so that its pieces need not be sent twice.
//
// The item's id and key are pseudo-random functions, under the epoch key, of
// its name and of the hash of its content. The salt of a piece is one of the
// piece's own bytes: should the file change between the hash and the upload,
// no salt is used for two different plaintexts. The price: the server can tell
// that a file was added again, unchanged, under its old name and in the same
// epoch.
type upload struct {
	item [16]byte
	key  [32]byte
	salt []byte // key of the salts; nil for what cannot be read twice: random ones
	next bool   // every piece so far was on the server
}

// newUpload reads r once if it can be rewound; else everything is random, and
// a failed upload starts anew.
func (p *Project) newUpload(name string, r io.Reader) (*upload, error) {
	u := &upload{}
	s, ok := r.(io.ReadSeeker)
	if !ok {
		rand.Read(u.item[:])
		rand.Read(u.key[:])
		return u, nil
	}
	epoch := p.state.Epoch().Number
	key, ok := p.keys[epoch]
	if !ok {
		return nil, fmt.Errorf("%w: epoch %d", ErrNoKey, epoch)
	}
	h := sha256.New()
	n, err := io.Copy(h, s)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if _, err := s.Seek(-n, io.SeekCurrent); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	root, err := subkey(key, "upload")
	if err != nil {
		return nil, err
	}
	prf := func(use string) []byte {
		m := hmac.New(sha256.New, root[:])
		m.Write(label("upload/"+use, p.state.Nonce, epoch, []byte(name), h.Sum(nil)))
		return m.Sum(nil)
	}
	u.item, u.key, u.salt, u.next = [16]byte(prf("item")), [32]byte(prf("key")), prf("salt"), true
	return u, nil
}

// seal encrypts piece n.
func (u *upload) seal(context []byte, n int, plain []byte) ([]byte, error) {
	if u.salt == nil {
		return cobblestone.Seal(u.key, context, plain)
	}
	m := hmac.New(sha256.New, u.salt)
	m.Write(doc.LP(binary.BigEndian.AppendUint64(nil, uint64(n)), plain))
	return cobblestone.SealSalted(u.key, [cobblestone.SaltSize]byte(m.Sum(nil)), context, plain)
}

// put stores a piece unless it is there. Pieces go up in order, so after the
// first that is missing nothing needs to be asked.
func (u *upload) put(ctx context.Context, srv Server, blob []byte, store func(context.Context, []byte) error) error {
	if u.next {
		have, err := srv.Have(ctx, []id.ID{id.Of(blob)})
		if err != nil {
			return err
		}
		u.next = len(have) == 1 && have[0]
	}
	if u.next {
		return nil
	}
	return store(ctx, blob)
}
