package pkcs11

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"path/filepath"

	"cipherdeck/crypto/doc"
	"cipherdeck/vault/pkcs11/wire"
)

// wrapped is the data of a slot.
type wrapped struct {
	Version uint8     `cbor:"1,keyasint"` // 1
	Module  string    `cbor:"2,keyasint"` // absolute path of the library
	Token   string    `cbor:"3,keyasint"` // label
	Serial  string    `cbor:"4,keyasint"` // may be empty
	Key     string    `cbor:"5,keyasint"` // CKA_LABEL
	KeyID   []byte    `cbor:"6,keyasint"` // CKA_ID
	Public  []byte    `cbor:"7,keyasint"` // SHA-256 of the public key, PKIX DER
	Hash    wire.Hash `cbor:"8,keyasint"` // of OAEP and its mask
	Sealed  []byte    `cbor:"9,keyasint"` // the secret by RSA-OAEP, no label

	anyModule bool // the caller named it, so it is not examined
}

// maxKeyID bounds CKA_ID, so that slot data cannot be made too large.
const maxKeyID = 256

// enrol wraps secret with a key of a token, and opens it once.
func enrol(ctx context.Context, o Options, pin, secret []byte) ([]byte, error) {
	if err := checkOptions(o); err != nil {
		return nil, err
	}
	q := wire.Request{Op: wire.Find, Module: o.Module, Token: o.Token, Key: o.Key}
	if o.Generate {
		q.Op = wire.Make
		if q.Key == "" {
			q.Key = newKey
		}
	}
	r, err := ask(ctx, o.Helper, q, pin)
	if err != nil {
		return nil, err
	}
	if len(r.Tokens) != 1 || len(r.Tokens[0].Keys) != 1 || len(r.Tokens[0].Keys[0].ID) > maxKeyID {
		return nil, fmt.Errorf("%w: not one token with one key", ErrHelper)
	}
	t, k := r.Tokens[0], r.Tokens[0].Keys[0]
	pub, name, err := publicKey(k)
	if err != nil {
		return nil, err
	}
	w := wrapped{Version: 1, Module: o.Module, Token: wire.Plain(t.Label), Serial: wire.Plain(t.Serial),
		Key: wire.Plain(k.Label), KeyID: k.ID, Public: name, anyModule: true}
	for _, w.Hash = range []wire.Hash{wire.SHA256, wire.SHA1} {
		if w.Sealed, err = rsa.EncryptOAEP(newHash(w.Hash), rand.Reader, pub, secret, nil); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrRefused, err)
		}
		var again []byte
		again, err = w.open(ctx, o.Helper, pin)
		same := subtle.ConstantTimeCompare(again, secret) == 1
		clear(again)
		if err == nil && same {
			return doc.Encode(w)
		}
		if err == nil {
			err = fmt.Errorf("%w: it decrypts to something else", ErrRefused)
		}
		if !errors.Is(err, ErrRefused) {
			break
		}
	}
	return nil, err
}

// parse reads the data of a slot and refuses what enrol would not write.
func parse(data []byte) (wrapped, error) {
	var w wrapped
	if err := doc.Decode(data, &w); err != nil {
		return w, fmt.Errorf("%w: %v", ErrData, err)
	}
	if w.Version != 1 || len(w.Public) != sha256.Size || len(w.KeyID) > maxKeyID || len(w.Sealed) < minBits/8 || len(w.Sealed) > maxBits/8 {
		return w, fmt.Errorf("%w: version %d with fields of %d, %d and %d bytes", ErrData, w.Version, len(w.Public), len(w.KeyID), len(w.Sealed))
	}
	if w.Hash != wire.SHA256 && w.Hash != wire.SHA1 {
		return w, fmt.Errorf("%w: hash %d", ErrData, w.Hash)
	}
	for _, s := range []string{w.Token, w.Serial, w.Key} {
		if s != wire.Plain(s) {
			return w, fmt.Errorf("%w: a name in it cannot be shown", ErrData)
		}
	}
	if err := checkPath(w.Module); err != nil {
		return w, fmt.Errorf("%w: %v", ErrData, err)
	}
	return w, nil
}

// with is w with what o says otherwise.
func (w wrapped) with(o Options) (wrapped, error) {
	if o.Module != "" {
		if err := checkPath(o.Module); err != nil {
			return w, err
		}
		w.Module, w.anyModule = o.Module, true
	}
	if o.Token != "" {
		w.Token, w.Serial = o.Token, "" // the key decides
	}
	if o.Key != "" {
		w.Key, w.KeyID = o.Key, nil
	}
	return w, nil
}

// open lets the token open the secret.
func (w wrapped) open(ctx context.Context, helper string, pin []byte) ([]byte, error) {
	if !w.anyModule {
		real, err := installed(w.Module)
		if err != nil {
			return nil, err
		}
		w.Module = real
	}
	r, err := ask(ctx, helper, wire.Request{Op: wire.Decrypt, Module: w.Module, Token: w.Token, Serial: w.Serial,
		Key: w.Key, KeyID: w.KeyID, Public: w.Public, Hash: w.Hash, Wrapped: w.Sealed}, pin)
	return r.secret, err
}

func newHash(h wire.Hash) hash.Hash {
	if h == wire.SHA1 {
		return sha1.New()
	}
	return sha256.New()
}

// checkOptions refuses what could not be found again.
func checkOptions(o Options) error {
	if err := checkPath(o.Module); err != nil {
		return err
	}
	if o.Key != wire.Plain(o.Key) {
		return fmt.Errorf("%w: its label is too long, or has characters that cannot be shown", ErrNoKey)
	}
	return nil
}

func checkPath(module string) error {
	if module == "" {
		return fmt.Errorf("%w: which one is not said (--module)", ErrModule)
	}
	if !filepath.IsAbs(module) || len(module) > 4096 {
		return fmt.Errorf("%w: %.200q is not an absolute path", ErrModule, module)
	}
	return nil
}
