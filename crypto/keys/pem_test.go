package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
)

func block(kind string, der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestPEM(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	pub := block("PUBLIC KEY", spki, err)
	crt, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &k.PublicKey, k)
	cert := block("CERTIFICATE", crt, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	key := block("PRIVATE KEY", pkcs8, err)
	ecPub, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	other := block("PUBLIC KEY", ecPub, err)
	small := block("PUBLIC KEY", mustSPKI(1024), nil)

	for name, b := range map[string][]byte{
		"SPKI": pub, "PKCS#1": block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.PublicKey), nil), "certificate": cert,
		"text before": append([]byte("Subject: CN=x\n"), cert...),
	} {
		if p, err := ParseRSAPublicPEM(b); err != nil || !p.RSA.Equal(&k.PublicKey) || p.XWing != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing": {nil, ErrPEM}, "two": {append(append([]byte{}, pub...), cert...), ErrPEM}, "private": {key, ErrPEM}, "EC": {other, ErrPEM},
		"1024 bits": {small, ErrRSA}, "long": {make([]byte, MaxPEM+1), ErrPEM}, "cut": {block("PUBLIC KEY", spki[:99], nil), ErrPEM},
	} {
		if _, err := ParseRSAPublicPEM(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}

	for name, b := range map[string][]byte{"PKCS#8": key, "PKCS#1": block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k), nil)} {
		if got, err := ParseRSAPrivatePEM(b); err != nil || !got.Equal(k) {
			t.Errorf("%s: %v", name, err)
		}
	}
	locked := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte{1}})
	for name, b := range map[string][]byte{"public": pub, "locked": locked, "locked PKCS#8": block("ENCRYPTED PRIVATE KEY", pkcs8, nil)} {
		if _, err := ParseRSAPrivatePEM(b); !errors.Is(err, ErrPEM) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// mustSPKI is a public key of so many bits, not one that anybody holds.
func mustSPKI(bits int) []byte {
	n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
	b, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: rsaExponent})
	if err != nil {
		panic(err)
	}
	return b
}
