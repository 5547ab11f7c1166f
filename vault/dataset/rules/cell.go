package rules

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strings"

	"cipherdeck/crypto/doc"
)

// subkey derives the key of one column (or of columns that may be joined) for
// one use: HKDF-Expand with SHA-256 over LP("cipherdeck/dataset/v1/" use) ‖
// LP(name).
func subkey(key *[32]byte, use, name string) ([]byte, error) {
	if key == nil {
		return nil, ErrKey
	}
	return hkdf.Expand(sha256.New, key[:], string(doc.LP([]byte("cipherdeck/dataset/v1/"+use), []byte(name))), 32)
}

// tokeniser replaces a value by the first 128 bits of its HMAC-SHA-256, 26
// characters of base32.
type tokeniser struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

func newTokeniser(key *[32]byte, join string) (*tokeniser, error) {
	k, err := subkey(key, "token", join)
	if err != nil {
		return nil, err
	}
	return &tokeniser{mac: hmac.New(sha256.New, k)}, nil
}

// append adds the token of cell to dst. Spaces around a value do not count.
func (t *tokeniser) append(dst, cell []byte) []byte {
	t.mac.Reset()
	t.mac.Write(cell)
	sum := t.mac.Sum(t.sum[:0])
	return tokenText.AppendEncode(dst, sum[:16])
}

var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// cellMark begins every encrypted cell.
const cellMark = "e1."

// cellBlock is what lengths are rounded up to, so that yes and no look alike.
const cellBlock = 16

// sealer encrypts cells with XAES-256-GCM (C2SP), whose 24-byte nonces are
// long enough to be random for any number of tables. The first half is drawn
// once, so its key is derived once; the second half counts up from a random
// start.
type sealer struct {
	nonce [24]byte
	aead  cipher.AEAD
	plain []byte
}

func newSealer(key *[32]byte, column string) (*sealer, error) {
	k, err := subkey(key, "cell", column)
	if err != nil {
		return nil, err
	}
	s := new(sealer)
	rand.Read(s.nonce[:])
	s.aead, err = xaes(k, s.nonce[:12])
	return s, err
}

// append adds e1.base64url(nonce ‖ ciphertext) to dst.
func (s *sealer) append(dst, cell []byte) []byte {
	low := s.nonce[16:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)+1)
	s.plain = append(append(s.plain[:0], s.nonce[:]...), cell...)
	s.plain = append(s.plain, 0x80)
	for (len(s.plain)-len(s.nonce))%cellBlock != 0 {
		s.plain = append(s.plain, 0)
	}
	body := s.plain[len(s.nonce):]
	sealed := s.aead.Seal(body[:0], s.nonce[12:], body, nil)
	s.plain = append(s.plain[:len(s.nonce)], sealed...)
	return base64.RawURLEncoding.AppendEncode(append(dst, cellMark...), s.plain)
}

// opener reverses a sealer, and remembers the last key it derived.
type opener struct {
	key  []byte
	half [12]byte
	aead cipher.AEAD
}

func newOpener(key *[32]byte, column string) (*opener, error) {
	k, err := subkey(key, "cell", column)
	return &opener{key: k}, err
}

func (o *opener) append(dst, cell []byte) ([]byte, error) {
	text, ok := strings.CutPrefix(string(cell), cellMark)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(raw) < 24 {
		return nil, ErrCell
	}
	if half := [12]byte(raw[:12]); o.aead == nil || half != o.half {
		if o.aead, err = xaes(o.key, raw[:12]); err != nil {
			return nil, err
		}
		o.half = half
	}
	plain, err := o.aead.Open(nil, raw[12:24], raw[24:], nil)
	if err != nil {
		return nil, ErrCell
	}
	for len(plain) > 0 && plain[len(plain)-1] == 0 {
		plain = plain[:len(plain)-1]
	}
	if len(plain) == 0 || plain[len(plain)-1] != 0x80 {
		return nil, ErrCell
	}
	return append(dst, plain[:len(plain)-1]...), nil
}

// xaes derives the AES-256-GCM of one 12-byte nonce prefix
// (c2sp.org/XAES-256-GCM: NIST SP 800-108r1 in counter mode with CMAC).
func xaes(key, prefix []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	var k1 [16]byte
	b.Encrypt(k1[:], k1[:])
	carry := k1[0] >> 7
	for i := range 15 {
		k1[i] = k1[i]<<1 | k1[i+1]>>7
	}
	k1[15] = k1[15]<<1 ^ carry*0x87
	derived := make([]byte, 32)
	for i := range 2 {
		half := derived[16*i : 16*i+16]
		copy(half, append([]byte{0, byte(i + 1), 'X', 0}, prefix...))
		for j := range half {
			half[j] ^= k1[j]
		}
		b.Encrypt(half, half)
	}
	inner, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(inner)
}
