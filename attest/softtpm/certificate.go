package softtpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"cipherdeck/attest/ek"
	"cipherdeck/attest/wire"
)

// certLife is how long the certificates of a software TPM last. They vouch for
// nothing, so there is nothing that could end.
const certLife = 20 * 365 * 24 * time.Hour

// certifyEK does what a maker of chips does in his factory: it signs a
// certificate for the ECC endorsement key and writes it, and that of the
// authority, into non-volatile memory. The authority is this TPM itself, and
// both say so.
func (t *TPM) certifyEK() error {
	pub, code := parseTemplate(ekTemplate())
	if code != ok {
		return fmt.Errorf("software TPM: EK template: %03x", uint32(code))
	}
	key, code := t.primaryKey(wire.HandleEndorsement, pub)
	if code != ok {
		return fmt.Errorf("software TPM: EK: %03x", uint32(code))
	}
	ca, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), kdfa(wire.AlgSHA256, t.kept.Seed[:], "AUTHORITY", nil, nil, 256))
	if err != nil {
		return fmt.Errorf("software TPM: %w", err)
	}
	root := certificate(ca.Public(), true)
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, ca.Public(), ca)
	if err != nil {
		return fmt.Errorf("software TPM: %w", err)
	}
	leaf, err := withDevice(certificate(key.Public(), false))
	if err != nil {
		return fmt.Errorf("software TPM: %w", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), ca)
	if err != nil {
		return fmt.Errorf("software TPM: %w", err)
	}
	for h, der := range map[uint32][]byte{handleECCert: leafDER, handleCA: rootDER} {
		t.kept.NV = append(t.kept.NV, nvIndex{Handle: h, Alg: wire.AlgSHA256, Data: der,
			Attrs: nvOwnerRead | nvAuthRead | nvNoDA | nvWritten | nvPlatform})
	}
	return nil
}

// ekTemplate is template L-2 of the EK Credential Profile: ECC P-256, opened by
// TPM2_PolicySecret with the endorsement hierarchy.
func ekTemplate() []byte {
	policy := sumOf(wire.AlgSHA256, sumOf(wire.AlgSHA256, make([]byte, sha256.Size), wire.U32s(nil, ccPolicySecret, wire.HandleEndorsement)))
	p := template{
		typ: wire.AlgECC, nameAlg: wire.AlgSHA256,
		attrs: wire.AttrFixedTPM | wire.AttrFixedParent | wire.AttrSensitiveDataOrigin | wire.AttrAdminWithPolicy |
			wire.AttrRestricted | wire.AttrDecrypt,
		policy: policy, aesBits: 128, scheme: wire.AlgNull, curve: wire.CurveP256,
		x: make([]byte, 32), y: make([]byte, 32),
	}
	return p.marshal()
}

func certificate(of crypto.PublicKey, authority bool) *x509.Certificate {
	name := pkix.Name{CommonName: ek.SoftwareName, Organization: []string{"cipherdeck"}}
	c := &x509.Certificate{
		SerialNumber: serial(of), Subject: name, Issuer: name,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certLife),
		ExtraExtensions: []pkix.Extension{{Id: ek.Mark(), Value: asn1.NullBytes}},
	}
	if authority {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		return c
	}
	c.Subject = pkix.Name{} // the profile wants it empty, and the device in the alternative name
	c.KeyUsage = x509.KeyUsageKeyAgreement
	c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}}
	return c
}

func serial(of crypto.PublicKey) *big.Int {
	der, err := x509.MarshalPKIXPublicKey(of)
	if err != nil {
		return big.NewInt(1)
	}
	sum := sha256.Sum256(der)
	return new(big.Int).SetBytes(sum[:15])
}

// withDevice adds the critical subject alternative name that the profile wants
// (3.2.9): manufacturer, model and version.
func withDevice(c *x509.Certificate) (*x509.Certificate, error) {
	of := func(n int, v string) pkix.RelativeDistinguishedNameSET {
		return pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, n}, Value: v}}
	}
	dir, err := asn1.Marshal(pkix.RDNSequence{of(1, "id:534F4654"), of(2, "cipherdeck soft TPM"), of(3, "id:00010000")})
	if err != nil {
		return nil, err
	}
	san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: dir}})
	if err != nil {
		return nil, err
	}
	c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: san})
	return c, nil
}
