package secret

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/words"
)

// The errors that this package wraps; tell them apart with errors.Is.
var (
	ErrWeak    = errors.New("secret is too easy to guess")
	ErrAccount = errors.New("account name cannot be used with a typed secret")
	ErrOther   = errors.New("this is not the same secret")
	ErrCheck   = errors.New("check value is not valid")
)

// Cost is the fixed cost of version 1 (about 0.4 s and 256 MiB).
func Cost() keys.Argon2id { return keys.Argon2id{T: 3, MKiB: 256 << 10, P: 4} }

// Account is the form of an account name that goes into the salt: NFC, lower
// case, without spaces around it. Errors wrap ErrAccount for a name that is
// empty, not UTF-8 or above 255 bytes.
func Account(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%w: it is not UTF-8", ErrAccount)
	}
	n := norm.NFC.String(strings.ToLower(norm.NFC.String(strings.TrimSpace(name))))
	if n == "" || len(n) > 255 {
		return "", fmt.Errorf("%w: it has %d bytes, want 1 to 255", ErrAccount, len(n))
	}
	return n, nil
}

// Derive turns a typed secret into the seed of an account. It takes 0.4 s and
// 256 MiB. The secret is normalised to NFC; every other character counts, also
// spaces and case. Errors wrap ErrAccount, ErrWeak with the estimate, or
// keys.ErrKDF on a machine with too little memory.
func Derive(account string, secret []byte) (keys.Seed, error) {
	if e := Measure(secret, account); e.Bits < MinBits {
		return keys.Seed{}, fmt.Errorf("%w: about %.0f bits (%s), want %d; 8 random words have 103", ErrWeak, e.Bits, e.Why, MinBits)
	}
	return DeriveWeak(account, secret)
}

// DeriveWeak is Derive without the estimate, for who was told and insists.
func DeriveWeak(account string, secret []byte) (keys.Seed, error) {
	name, err := Account(account)
	if err != nil {
		return keys.Seed{}, err
	}
	if len(secret) == 0 {
		return keys.Seed{}, fmt.Errorf("%w: it is empty", ErrWeak)
	}
	cost := Cost()
	if err := cost.Check(); err != nil {
		return keys.Seed{}, err
	}
	nfc := norm.NFC.Append(nil, secret...)
	defer clear(nfc)
	salt := sha256.Sum256(doc.LP([]byte("cipherdeck/v1/master-salt"), []byte(name)))
	ikm := argon2.IDKey(nfc, salt[:], cost.T, cost.MKiB, cost.P, 32)
	defer clear(ikm)
	seed, err := hkdf.Expand(sha512.New, ikm, "cipherdeck/v1/account-seed", keys.SeedSize)
	if err != nil {
		return keys.Seed{}, err
	}
	defer clear(seed)
	return keys.Seed(seed), nil
}

// Suggest draws a secret of 8 words, 103 bits, from random (crypto/rand.Reader
// outside tests).
func Suggest(random io.Reader) (string, error) { return words.Passphrase(random, 8) }
