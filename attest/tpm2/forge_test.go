package tpm2

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
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

// forger is a TPM made of one ECDSA key: it signs whatever a test writes. That
// its plain output verifies is the reason why root can never be more than
// "software" here.
type forger struct {
	key    *ecdsa.PrivateKey
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
		key: key, attrs: akAttributes, scheme: []uint16{wire.AlgECDSA, wire.AlgSHA256},
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
	pcr, err := eventlog.Replay(f.log, attest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	f.values = nil
	for _, i := range f.pcrs {
		v := attest.PCRValue{Index: i, Value: make([]byte, 32)}
		if i == eventlog.PCR {
			v.Value = pcr
		}
		f.values = append(f.values, v)
	}
}

func (f *forger) public() []byte {
	out := wire.U32s(wire.U16s(nil, wire.AlgECC, wire.AlgSHA256), f.attrs)
	out = wire.U16s(wire.Sized(out, f.policy), wire.AlgNull)
	out = wire.U16s(wire.U16s(out, f.scheme...), wire.CurveP256, wire.AlgNull)
	point, _ := f.key.PublicKey.Bytes()
	return append(wire.Sized(wire.Sized(out, point[1:33]), point[33:]), f.keyTail...)
}

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
		digest = digestOf(32, f.values)
	}
	return append(wire.Sized(out, digest), f.tail...)
}

func (f *forger) evidence(t testing.TB) attest.Evidence {
	t.Helper()
	quote := f.attested()
	h := sha256.Sum256(quote)
	r, s, err := ecdsa.Sign(rand.Reader, f.key, h[:])
	if err != nil {
		t.Fatal(err)
	}
	rb, sb := r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))
	if f.r != nil {
		rb = f.r
	}
	if f.s != nil {
		sb = f.s
	}
	sig := wire.Sized(wire.Sized(wire.U16s(nil, f.sigAlg, f.sigHash), rb), sb)
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
