package api

import (
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"

	"cipherdeck/crypto/doc"
)

// LoginType is the document type of a signed Login.
const LoginType = "auth/login"

// MaxLogin bounds the signed form of a Login, in bytes.
const MaxLogin = 1 << 10

// Audience is whom a login is for.
const Audience = "cipherdeck/v1"

// NonceSize is the length of a login nonce in bytes.
const NonceSize = 32

const (
	loginLabel = "EXPORTER-cipherdeck-auth-v1"
	loginSize  = 32
)

// ErrExporter is wrapped when a connection has no exporter to bind a login to.
var ErrExporter = errors.New("login needs a full TLS 1.3 handshake")

// Login is what a device signs to show that its key is at this end of this
// connection.
type Login struct {
	V        uint8  `cbor:"1,keyasint"`
	Nonce    []byte `cbor:"2,keyasint"` // the server's
	SPKI     []byte `cbor:"3,keyasint"` // SHA-256 of the TLS key that the client saw
	EKM      []byte `cbor:"4,keyasint"` // see LoginExporter
	Audience string `cbor:"5,keyasint"`
	Time     int64  `cbor:"6,keyasint"` // Unix seconds
}

// LoginExporter is the keying material of a connection that a login is bound
// to: RFC 8446 section 7.5 with the nonce as context, 32 bytes.
func LoginExporter(cs *tls.ConnectionState, nonce []byte) ([]byte, error) {
	if cs == nil || cs.Version != tls.VersionTLS13 || !cs.HandshakeComplete || cs.DidResume {
		return nil, ErrExporter
	}
	ekm, err := cs.ExportKeyingMaterial(loginLabel, nonce, loginSize)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExporter, err)
	}
	return ekm, nil
}

// SignLogin makes the signed login for the connection cs.
func SignLogin(cs *tls.ConnectionState, spki [32]byte, nonce []byte, unix int64, device ed25519.PrivateKey) ([]byte, error) {
	ekm, err := LoginExporter(cs, nonce)
	if err != nil {
		return nil, err
	}
	return doc.Sign(LoginType, Login{V: 1, Nonce: nonce, SPKI: spki[:], EKM: ekm, Audience: Audience, Time: unix}, device)
}
