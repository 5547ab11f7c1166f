package coretex

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
)

// ParseKey reads a private key as Coretex keeps it: PEM (PKCS#8 or PKCS#1), or
// the base64 of that, as in the variable CTX_PRIVATE_KEY. Errors wrap ErrKey and
// repeat nothing of it.
func ParseKey(text string) (*rsa.PrivateKey, error) {
	b := []byte(strings.TrimSpace(text))
	if !strings.HasPrefix(string(b), "-----BEGIN") {
		plain, err := base64.StdEncoding.DecodeString(string(b))
		if err != nil {
			return nil, fmt.Errorf("%w: neither PEM nor base64 of it", ErrKey)
		}
		b = plain
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%w: no PEM block", ErrKey)
	}
	if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: no RSA private key in PKCS#1 or PKCS#8", ErrKey)
	}
	r, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: the key is a %T", ErrKey, k)
	}
	return r, nil
}

// SecretField opens one field of a Coretex secret: base64 of an RSA PKCS#1 v1.5
// ciphertext. A wrong key is noticed for all but one in about 65 000. Call it
// with values from the user's own account only: answering a stranger's
// ciphertexts would be Bleichenbacher's oracle. Errors wrap ErrSecret.
func SecretField(key *rsa.PrivateKey, field string) ([]byte, error) {
	ct, err := base64.StdEncoding.DecodeString(strings.TrimSpace(field))
	if err != nil {
		return nil, fmt.Errorf("%w: it is not base64", ErrSecret)
	}
	out, err := rsa.DecryptPKCS1v15(nil, key, ct)
	if err != nil {
		return nil, fmt.Errorf("%w: it is for another key, or damaged", ErrSecret)
	}
	return out, nil
}

// ProjectKey opens the key of a project's files: what SecretField gives is 32
// bytes, or the base64 of 32 bytes. Errors wrap ErrSecret.
func ProjectKey(key *rsa.PrivateKey, field string) ([32]byte, error) {
	b, err := SecretField(key, field)
	if err != nil {
		return [32]byte{}, err
	}
	return ParseProjectKey(b)
}

// ParseProjectKey takes 32 bytes, or the base64 of 32 bytes as in the
// environment of a Coretex job. Errors wrap ErrSecret.
func ParseProjectKey(b []byte) ([32]byte, error) {
	if len(b) != 32 {
		plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(b)))
		if err != nil || len(plain) != 32 {
			return [32]byte{}, fmt.Errorf("%w: a project key has 32 bytes", ErrSecret)
		}
		b = plain
	}
	return [32]byte(b), nil
}
