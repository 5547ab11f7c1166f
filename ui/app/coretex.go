package app

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"

	"cipherdeck/crypto/coretex"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/vault/secret"
)

// CoretexKey says where a Coretex key comes from: a file, or the secret that
// Coretex derived it from, which is asked for.
type CoretexKey struct {
	File string
	Ask  bool
	Bits int // with Ask: 2048, 3072 or 4096
}

// CoretexPublic names a Coretex key by its public half.
type CoretexPublic struct {
	Out    string `json:"out"`
	Bits   int    `json:"rsa_bits"`
	SHA256 string `json:"spki_sha256"` // of the SubjectPublicKeyInfo, hex
}

// key gets the key. Nothing tells a mistyped secret from the right one: it gives
// another key.
func (k CoretexKey) key(ctx context.Context, a *App) (*rsa.PrivateKey, error) {
	if (k.File != "") == k.Ask {
		return nil, fmt.Errorf("%w: say where the Coretex key is: --key FILE, or --ask for its secret", ErrInput)
	}
	if k.Ask {
		s, err := a.AskNew(ctx, "Coretex secret")
		if err != nil {
			return nil, err
		}
		defer clear(s)
		return coretex.RSA(ctx, string(s), k.Bits)
	}
	text, err := readSmall(k.File, keys.MaxPEM)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	r, err := coretex.ParseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.File, err)
	}
	return r, nil
}

// WriteCoretexKey asks for a Coretex secret and writes the private key that
// Coretex derives from it: PKCS#8 in PEM, for the owner's eyes only.
func (a *App) WriteCoretexKey(ctx context.Context, out string, bits int, force bool) (CoretexPublic, error) {
	k, err := CoretexKey{Ask: true, Bits: bits}.key(ctx, a)
	if err != nil {
		return CoretexPublic{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return CoretexPublic{}, err
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(text)
	err = seal.WriteFile(out, force, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return CoretexPublic{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		return CoretexPublic{}, err
	}
	return CoretexPublic{out, k.N.BitLen(), fmt.Sprintf("%x", sha256.Sum256(spki))}, nil
}

// CoretexFile is a file of Coretex to seal again.
type CoretexFile struct {
	In, Out string
	Key     CoretexKey // opens Project; empty when Project is in clear
	Project string     // file of the project's key: a field of a Coretex secret, or the key itself
	Force   bool
}

// SealCoretex decrypts a file of Coretex and seals it for the vault's owner. The
// plaintext is never on disk. Tell the person coretex.Warning.
func (a *App) SealCoretex(ctx context.Context, f CoretexFile, sink progress.Sink) (coretex.Result, error) {
	to, err := a.recipients(ctx, SealSpec{})
	if err != nil {
		return coretex.Result{}, err
	}
	key, err := f.projectKey(ctx, a)
	defer clear(key[:])
	if err != nil {
		return coretex.Result{}, err
	}
	return coretex.Rewrap(ctx, f.Out, f.In, key, to, seal.FileOptions{Force: f.Force, Sink: sink})
}

func (f CoretexFile) projectKey(ctx context.Context, a *App) (key [32]byte, err error) {
	text, err := readSmall(f.Project, keys.MaxPEM)
	if err != nil {
		return key, err
	}
	defer clear(text)
	if f.Key == (CoretexKey{Bits: f.Key.Bits}) {
		key, err = coretex.ParseProjectKey(text)
	} else {
		var r *rsa.PrivateKey
		if r, err = f.Key.key(ctx, a); err != nil {
			return key, err
		}
		key, err = coretex.ProjectKey(r, string(text))
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f.Project, err)
	}
	return key, err
}

// PutCoretexSecret opens fields of a Coretex secret and stores them, with those
// that s has already, in the vault. sealed gives the field as Coretex keeps it:
// base64 of an RSA ciphertext. Either all fields open or nothing is stored.
func (a *App) PutCoretexSecret(ctx context.Context, name string, s secret.Secret, k CoretexKey, sealed map[string][]byte) error {
	defer s.Wipe()
	r, err := k.key(ctx, a)
	if err != nil {
		return err
	}
	for field, b := range sealed {
		v, err := coretex.SecretField(r, string(b))
		if err != nil {
			return fmt.Errorf("field %s: %w", field, err)
		}
		s.Fields[field] = v
	}
	return a.PutSecret(name, s)
}
