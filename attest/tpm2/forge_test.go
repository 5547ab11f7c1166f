package tpm2

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/wire"
	"cipherdeck/crypto/doc"
)

// forger is a TPM made of one key, ECDSA or RSA: it signs whatever a test writes. That
// its plain output verifies is the reason why root can never be more than
// "software" here.
type forger struct {
	key    *ecdsa.PrivateKey
	rsa    *rsa.PrivateKey // in place of key
	bits   uint16          // what the RSA key says of its size
	exp    uint32          // and of its exponent; 0 is 65537
	n      []byte          // overrides its modulus
	curve  uint16          // overrides what the ECC key says of its curve
	pss    bool            // signs with RSASSA-PSS
	hash   crypto.Hash     // that it signs with
	sig    []byte          // overrides the RSA signature
	attrs  uint32
	policy []byte
	scheme []uint16
	signer []byte // overrides the qualified name

	magic   uint32
	kind    uint16
	bind    []byte
	safe    byte
	banks   uint32
	alg     uint16
	sel     []byte
	values  []attest.PCRValue
	second  []byte // a second bank
	digest  []byte // overrides the PCR digest
	tail    []byte // after the attest
	sigAlg  uint16
	sigHash uint16
	r, s    []byte // override the signature
	keyTail []byte
	sigTail []byte

	log      []eventlog.Event
	golden   attest.Manifest
	manifest []byte // overrides the signed golden
	signers  []ed25519.PrivateKey
	jobKey   []byte
	expect   attest.Expect
	pcrs     []uint8
	bank     attest.Bank
}

func seeded(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append([]byte{b}, make([]byte, 31)...))
}

func sum(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// newForger is a forger whose evidence passes.
func newForger(t testing.TB) *forger {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bind := sum("bind")
	f := &forger{
		key: key, hash: crypto.SHA256, bank: attest.SHA256, attrs: akAttributes, scheme: []uint16{wire.AlgECDSA, wire.AlgSHA256},
		magic: wire.Magic, kind: wire.TagQuote, bind: bind[:], safe: 1,
		banks: 1, alg: wire.AlgSHA256, sigAlg: wire.AlgECDSA, sigHash: wire.AlgSHA256,
		jobKey: []byte("job"), signers: []ed25519.PrivateKey{seeded(1)},
		pcrs: []uint8{0, 7, 14},
		log:  goodLog(sum("tls"), sum("job")), golden: goodManifest(),
	}
	f.expect = attest.Expect{
		Bind: bind[:], Subject: "machine", SPKI: sum("tls"), Now: time.Unix(1000, 0),
		Policy: attest.Policy{
			Product: "deck", Threshold: 1, MinVersion: 5,
			Signers: [][]byte{seeded(1).Public().(ed25519.PublicKey), seeded(2).Public().(ed25519.PublicKey)},
		},
	}
	return f
}

// rsaForger is a forger with an RSA key of 2048 bits.
func rsaForger(t testing.TB) *forger {
	f := newForger(t)
	f.rsa, f.bits = rsaKey(t, 2048), 2048
	f.scheme, f.sigAlg = []uint16{wire.AlgRSASSA, wire.AlgSHA256}, wire.AlgRSASSA
	return f
}

// p384Forger is a forger with a key on P-384 that signs with SHA-384 over the
// bank of SHA-384.
func p384Forger(t testing.TB) *forger {
	t.Helper()
	f := newForger(t)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f.key, f.hash, f.bank, f.alg = key, crypto.SHA384, attest.SHA384, wire.AlgSHA384
	f.scheme, f.sigHash = []uint16{wire.AlgECDSA, wire.AlgSHA384}, wire.AlgSHA384
	return f
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func goodLog(tls, job [32]byte) []eventlog.Event {
	return []eventlog.Event{
		{Name: "binary", Digest: sum("binary"), Text: "v1.2.3"},
		{Name: "config", Digest: sum("config")},
		{Name: "tls-key", Digest: tls},
		{Name: "job-key", Digest: job},
		{Name: eventlog.Ready, Digest: eventlog.ReadyDigest()},
	}
}

func goodManifest() attest.Manifest {
	return attest.Manifest{
		V: 2, Product: "deck", Version: 5, NotBefore: 500, NotAfter: 5000, Note: "demo signer",
		Baselines: []attest.Baseline{{Name: "test", Events: []attest.Golden{
			{Name: "binary", Any: [][32]byte{sum("older"), sum("binary")}},
			{Name: "config", Any: [][32]byte{sum("config")}},
			{Name: "tls-key", Bound: true},
			{Name: "job-key", Bound: true},
			{Name: eventlog.Ready, Any: [][32]byte{eventlog.ReadyDigest()}},
		}}},
	}
}

// replayed sets the PCR values to what the log replays to.
func (f *forger) replayed(t testing.TB) {
	t.Helper()
	pcr, err := eventlog.Replay(f.log, f.bank)
	if err != nil {
		t.Fatal(err)
	}
	f.values = nil
	for _, i := range f.pcrs {
		v := attest.PCRValue{Index: i, Value: make([]byte, f.bank.Size())}
		if i == eventlog.PCR {
			v.Value = pcr
		}
		f.values = append(f.values, v)
	}
}

func (f *forger) public() []byte {
	typ := uint16(wire.AlgECC)
	if f.rsa != nil {
		typ = wire.AlgRSA
	}
	out := wire.U32s(wire.U16s(nil, typ, wire.AlgSHA256), f.attrs)
	out = wire.U16s(wire.U16s(wire.Sized(out, f.policy), wire.AlgNull), f.scheme...)
	if f.rsa != nil {
		n := f.n
		if n == nil {
			n = f.rsa.N.Bytes()
		}
		return append(wire.Sized(wire.U32s(wire.U16s(out, f.bits), f.exp), n), f.keyTail...)
	}
	curve := f.curve
	if curve == 0 {
		curve = map[int]uint16{32: wire.CurveP256, 48: wire.CurveP384}[f.size()]
	}
	point, _ := f.key.PublicKey.Bytes()
	return append(wire.Sized(wire.Sized(wire.U16s(out, curve, wire.AlgNull), point[1:1+f.size()]), point[1+f.size():]), f.keyTail...)
}

// size is the length of a coordinate of the key's curve, in bytes.
func (f *forger) size() int { return f.key.Curve.Params().BitSize / 8 }

func (f *forger) attested() []byte {
	signer := f.signer
	if signer == nil {
		signer = qualifiedName(wire.HandleEndorsement, name(wire.AlgSHA256, f.public()))
	}
	out := wire.U16s(wire.U32s(nil, f.magic), f.kind)
	out = wire.Sized(wire.Sized(out, signer), f.bind)
	out = binary.BigEndian.AppendUint64(out, 12345)
	out = append(wire.U32s(out, 1, 0), f.safe)
	out = binary.BigEndian.AppendUint64(out, 1)
	sel := f.sel
	if sel == nil {
		bits := Select(f.pcrs)
		sel = bits[:]
	}
	out = wire.U16s(wire.U32s(out, f.banks), f.alg)
	out = append(append(out, byte(len(sel))), sel...)
	out = append(out, f.second...)
	digest := f.digest
	if digest == nil {
		digest = digestOf(f.hash.Size(), f.values)
	}
	return append(wire.Sized(out, digest), f.tail...)
}

func (f *forger) evidence(t testing.TB) attest.Evidence {
	t.Helper()
	quote := f.attested()
	sig := wire.U16s(nil, f.sigAlg, f.sigHash)
	if f.rsa != nil {
		sig = f.signRSA(t, sig, quote)
	} else {
		sig = f.signECDSA(t, sig, quote)
	}
	log, err := doc.Encode(f.log)
	if err != nil {
		t.Fatal(err)
	}
	man := f.manifest
	if man == nil {
		if man, err = manifest.Sign(f.golden, f.signers...); err != nil {
			t.Fatal(err)
		}
	}
	return attest.Evidence{
		V: Version, Type: Type, AK: f.public(), Quote: quote, Signature: append(sig, f.sigTail...),
		PCRs: f.values, AppLog: log, Manifest: man, JobKey: f.jobKey,
	}
}

func (f *forger) digestOf(msg []byte) []byte {
	h := f.hash.New()
	h.Write(msg)
	return h.Sum(nil)
}

func (f *forger) signECDSA(t testing.TB, sig, msg []byte) []byte {
	t.Helper()
	r, s, err := ecdsa.Sign(rand.Reader, f.key, f.digestOf(msg))
	if err != nil {
		t.Fatal(err)
	}
	rb, sb := r.FillBytes(make([]byte, f.size())), s.FillBytes(make([]byte, f.size()))
	if f.r != nil {
		rb = f.r
	}
	if f.s != nil {
		sb = f.s
	}
	return wire.Sized(wire.Sized(sig, rb), sb)
}

func (f *forger) signRSA(t testing.TB, sig, msg []byte) []byte {
	t.Helper()
	if f.sig != nil {
		return wire.Sized(sig, f.sig)
	}
	var opts crypto.SignerOpts = f.hash
	if f.pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: f.hash}
	}
	b, err := f.rsa.Sign(rand.Reader, f.digestOf(msg), opts)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Sized(sig, b)
}
