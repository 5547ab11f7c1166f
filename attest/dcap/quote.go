package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
)

// Sizes of a quote, in bytes (Quote Generation Library reference, appendix A).
const (
	headerSize = 48
	reportSize = 384 // of an enclave, ours or the quoting one
	pointSize  = 64  // of keys and signatures on P-256, two big-endian numbers
	maxAuth    = 1 << 10
	maxChain   = 16 << 10
	maxQuote   = 32 << 10
)

// Values in a quote.
const (
	keyECDSA   = 2 // attestation key: ECDSA-256 with P-256
	certPCK    = 5 // certification data: chain of certificates in PEM
	certReport = 6 // certification data: report of the quoting enclave (version 4)
)

// vendor is Intel's quoting enclave.
func vendor() []byte {
	return []byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}
}

// Quote is a quote taken apart; nothing in it is verified.
type Quote struct {
	Body []byte // of the report or of the TD report

	signed    []byte // header and body
	signature []byte
	key       []byte // attestation key, x and y
	qe        []byte // report of the quoting enclave
	qeSig     []byte // over it, by the PCK
	auth      []byte
	chain     [][]byte // DER: PCK, PCK CA, root
}

// shape is what a quote of one kind begins with.
type shape struct {
	version uint16
	tee     uint32
	body    int
}

// cursor reads little-endian fields and remembers that one was not there.
type cursor struct {
	b    []byte
	lost bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.lost, c.b = true, nil
		return make([]byte, max(0, min(n, maxQuote)))
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) u16() int { return int(binary.LittleEndian.Uint16(c.take(2))) }
func (c *cursor) u32() int { return int(binary.LittleEndian.Uint32(c.take(4))) }

// parse reads a quote of exactly one length. Errors wrap ErrQuote.
func (s shape) parse(raw []byte) (*Quote, error) {
	if len(raw) > maxQuote {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrQuote, len(raw), maxQuote)
	}
	c := &cursor{b: raw}
	if err := s.header(c.take(headerSize)); err != nil {
		return nil, err
	}
	q := &Quote{Body: c.take(s.body)}
	if c.lost {
		return nil, fmt.Errorf("%w: %d bytes are less than header and report", ErrQuote, len(raw))
	}
	q.signed = raw[:headerSize+s.body]
	if n := c.u32(); c.lost || n != len(c.b) {
		return nil, fmt.Errorf("%w: signature data of %d bytes, %d follow", ErrQuote, n, len(c.b))
	}
	q.signature, q.key = c.take(pointSize), c.take(pointSize)
	if s.version > 3 {
		if kind, n := c.u16(), c.u32(); kind != certReport || n != len(c.b) {
			return nil, fmt.Errorf("%w: certification data of kind %d and %d bytes, want kind %d to the end", ErrQuote, kind, n, certReport)
		}
	}
	return q, q.certified(c)
}

// header refuses everything but ECDSA quotes of Intel's quoting enclave: others,
// such as those of EPID, end in no certificate.
func (s shape) header(h []byte) error {
	version, key, tee := binary.LittleEndian.Uint16(h), binary.LittleEndian.Uint16(h[2:]), binary.LittleEndian.Uint32(h[4:])
	switch {
	case version != s.version:
		return fmt.Errorf("%w: version %d, want %d", ErrQuote, version, s.version)
	case key < keyECDSA:
		return fmt.Errorf("%w: an EPID quote (key type %d); only ECDSA quotes are accepted", ErrQuote, key)
	case key != keyECDSA:
		return fmt.Errorf("%w: attestation key of type %d, want %d, ECDSA on P-256", ErrQuote, key, keyECDSA)
	case tee != s.tee:
		return fmt.Errorf("%w: of TEE type %#x, want %#x", ErrQuote, tee, s.tee)
	case !bytes.Equal(h[12:28], vendor()):
		return fmt.Errorf("%w: the quoting enclave is of vendor %x, not Intel's", ErrQuote, h[12:28])
	}
	return nil
}

// certified reads who signed the attestation key.
func (q *Quote) certified(c *cursor) error {
	q.qe, q.qeSig = c.take(reportSize), c.take(pointSize)
	n := c.u16()
	if n > maxAuth {
		return fmt.Errorf("%w: authentication data of %d bytes, limit %d", ErrQuote, n, maxAuth)
	}
	q.auth = c.take(n)
	kind, size := c.u16(), c.u32()
	switch {
	case c.lost || size != len(c.b):
		return fmt.Errorf("%w: it ends inside its signature data, or goes on after it", ErrQuote)
	case kind < certPCK:
		return fmt.Errorf("%w: it names its processor by a PPID (certification data %d) and shows no certificate; have it made with a chain", ErrQuote, kind)
	case kind != certPCK:
		return fmt.Errorf("%w: certification data of kind %d, want %d, a chain of certificates", ErrQuote, kind, certPCK)
	case size > maxChain:
		return fmt.Errorf("%w: chain of %d bytes, limit %d", ErrQuote, size, maxChain)
	}
	return q.certificates(c.take(size))
}

// certificates reads three certificates in PEM, which must be the one text that
// they have; Intel's library ends it with a zero byte.
func (q *Quote) certificates(text []byte) error {
	var again []byte
	rest := bytes.TrimSuffix(text, []byte{0})
	for len(q.chain) < 3 {
		b, tail := pem.Decode(rest)
		if b == nil {
			return fmt.Errorf("%w: its chain has %d certificates in PEM, want PCK, CA and root", ErrQuote, len(q.chain))
		}
		q.chain = append(q.chain, b.Bytes)
		again = append(again, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Bytes})...)
		rest = tail
	}
	if !bytes.Equal(again, bytes.TrimSuffix(text, []byte{0})) {
		return fmt.Errorf("%w: its chain is not three certificates in PEM and nothing else", ErrQuote)
	}
	return nil
}

// verify checks both signatures and that the quoting enclave vouches for the
// attestation key. Errors wrap ErrQuote.
func (q *Quote) verify(pck *ecdsa.PublicKey) error {
	sum := sha256.Sum256(append(append([]byte{}, q.key...), q.auth...))
	want := append(sum[:], make([]byte, 32)...)
	if !signed(pck, q.qe, q.qeSig) {
		return fmt.Errorf("%w: the report of the quoting enclave is not signed by the PCK", ErrQuote)
	}
	if subtle.ConstantTimeCompare(q.qe[reportSize-64:], want) != 1 {
		return fmt.Errorf("%w: the quoting enclave vouches for another attestation key", ErrQuote)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, q.key...))
	if err != nil {
		return fmt.Errorf("%w: attestation key: %s", ErrQuote, safe(err))
	}
	if !signed(key, q.signed, q.signature) {
		return fmt.Errorf("%w: it is not signed by its attestation key", ErrQuote)
	}
	return nil
}

// signed verifies ECDSA with SHA-256; sig is r and s.
func signed(key *ecdsa.PublicKey, msg, sig []byte) bool {
	if len(sig) != pointSize {
		return false
	}
	sum := sha256.Sum256(msg)
	return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}
