package keys

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ErrPEM is wrapped for a file that is not the one PEM block wanted.
var ErrPEM = errors.New("not an RSA key in PEM")

// MaxPEM is the most bytes of a PEM file; the largest RSA key takes a tenth.
const MaxPEM = 64 << 10

// ParseRSAPublicPEM reads an RSA public key as other tools write it:
// SubjectPublicKeyInfo, PKCS#1, or an X.509 certificate. Of a certificate only
// the key is taken: nobody checks who signed it, for whom, or until when. The
// result has no X-Wing key. Errors wrap ErrPEM or ErrRSA.
func ParseRSAPublicPEM(b []byte) (Public, error) {
	p, err := onePEM(b)
	if err != nil {
		return Public{}, err
	}
	var k any
	switch p.Type {
	case "PUBLIC KEY":
		k, err = x509.ParsePKIXPublicKey(p.Bytes)
	case "RSA PUBLIC KEY":
		k, err = x509.ParsePKCS1PublicKey(p.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(p.Bytes); err == nil {
			k = c.PublicKey
		}
	default:
		err = fmt.Errorf("it is a %s; want PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE", word(p.Type))
	}
	if err != nil {
		return Public{}, fmt.Errorf("%w: %w", ErrPEM, err)
	}
	r, ok := k.(*rsa.PublicKey)
	if !ok {
		return Public{}, fmt.Errorf("%w: the key is a %T", ErrPEM, k)
	}
	return Public{RSA: r}, checkRSA(r)
}

// ParseRSAPrivatePEM reads an RSA private key without a passphrase, PKCS#8 or
// PKCS#1. Errors wrap ErrPEM or ErrRSA.
func ParseRSAPrivatePEM(b []byte) (*rsa.PrivateKey, error) {
	p, err := onePEM(b)
	if err != nil {
		return nil, err
	}
	defer clear(p.Bytes)
	var k any
	switch {
	case p.Headers["DEK-Info"] != "" || p.Type == "ENCRYPTED PRIVATE KEY":
		err = errors.New("it is locked with a passphrase")
	case p.Type == "PRIVATE KEY":
		k, err = x509.ParsePKCS8PrivateKey(p.Bytes)
	case p.Type == "RSA PRIVATE KEY":
		k, err = x509.ParsePKCS1PrivateKey(p.Bytes)
	default:
		err = fmt.Errorf("it is a %s; want PRIVATE KEY or RSA PRIVATE KEY", word(p.Type))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPEM, err)
	}
	r, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: the key is a %T", ErrPEM, k)
	}
	return r, checkRSA(&r.PublicKey)
}

// onePEM finds the only block in b. Of two it would be unclear which is meant.
func onePEM(b []byte) (*pem.Block, error) {
	if len(b) > MaxPEM {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrPEM, MaxPEM)
	}
	p, rest := pem.Decode(b)
	if p == nil {
		return nil, fmt.Errorf("%w: there is no -----BEGIN block", ErrPEM)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, fmt.Errorf("%w: there are several blocks; leave one", ErrPEM)
	}
	return p, nil
}

// word quotes the name of a block, which comes from the file.
func word(s string) string {
	if s = strings.ToValidUTF8(s, "?"); len(s) > 40 {
		s = s[:40]
	}
	return fmt.Sprintf("%q", s)
}
