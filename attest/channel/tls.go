package channel

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

// PinError says which key was pinned and which one the server has. It wraps
// ErrPin.
type PinError struct{ Pinned, Got [32]byte }

// Error names both keys by their SHA-256.
func (e *PinError) Error() string {
	return fmt.Sprintf("%v: pinned %x, got %x", ErrPin, e.Pinned, e.Got)
}

// Unwrap is ErrPin.
func (e *PinError) Unwrap() error { return ErrPin }

// SPKI is the SHA-256 of a certificate's SubjectPublicKeyInfo: what is pinned.
func SPKI(cert *x509.Certificate) [32]byte {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// ServerTLS serves cert: TLS 1.3 only, no session tickets.
func ServerTLS(cert tls.Certificate) *tls.Config {
	c := baseTLS()
	c.Certificates = []tls.Certificate{cert}
	return c
}

// ClientTLS accepts one server key and no certificate authority. The check is
// in VerifyConnection, which runs on every handshake; VerifyPeerCertificate
// would be skipped on resumed sessions. A handshake with another key fails
// with a *PinError.
func ClientTLS(pin [32]byte) *tls.Config {
	c := baseTLS()
	c.InsecureSkipVerify = true // the pin replaces the chain of authorities
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return fmt.Errorf("%w: no server certificate", ErrTLS)
		}
		if cs.DidResume {
			return fmt.Errorf("%w: resumed session", ErrTLS)
		}
		got := SPKI(cs.PeerCertificates[0])
		if subtle.ConstantTimeCompare(got[:], pin[:]) != 1 {
			return &PinError{Pinned: pin, Got: got}
		}
		return nil
	}
	return c
}

func baseTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		MaxVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768, tls.X25519},
		SessionTicketsDisabled: true,
		NextProtos:             []string{"http/1.1"},
	}
}

// certLife is long because nobody looks at it: the key is pinned.
const certLife = 10 * 365 * 24 * time.Hour

// NewCertificate is a self-signed certificate for key. hosts are names or IP
// addresses; the loopback ones are always added.
func NewCertificate(key crypto.Signer, hosts ...string) (tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate serial: %w", err)
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "cipherdeck"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range append([]string{"localhost", "127.0.0.1", "::1"}, hosts...) {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// SubjectKey is the SubjectPublicKeyInfo of a certificate in DER.
func SubjectKey(der []byte) ([]byte, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return c.RawSubjectPublicKeyInfo, nil
}
