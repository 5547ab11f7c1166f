package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"testing"
	"testing/cryptotest"

	"cipherdeck/crypto/archive"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/keys"
)

// The vector was made once. Making it again is a new version of the format.
var update = flag.Bool("update", false, "write testdata/container-v1.json anew")

const vectorFile = "testdata/container-v1.json"

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }
func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.AppendDecode(nil, b)
	return err
}

type vectorContainer struct {
	To         string   `json:"to"`
	Container  hexBytes `json:"container"`
	FileKey    hexBytes `json:"file_key"`
	HeaderKey  hexBytes `json:"header_key"`
	MetaKey    hexBytes `json:"meta_key"`
	PayloadKey hexBytes `json:"payload_key"`
	Context    hexBytes `json:"payload_context"`
	Facts      hexBytes `json:"facts"` // CBOR, decrypted
	Steps      steps    `json:"steps"`
	Name       string   `json:"name"`
	Plaintext  string   `json:"plaintext,omitempty"`
	Archive    hexBytes `json:"archive,omitempty"` // the content of a directory
}

// steps are the values on the way to FEK and into the payload, of the first
// stanza; those that its type does not have are absent.
type steps struct {
	K1       hexBytes `json:"k1,omitempty"`       // hybrid: from RSA-OAEP
	K2       hexBytes `json:"k2,omitempty"`       // hybrid: from X-Wing
	Argon2id hexBytes `json:"argon2id,omitempty"` // passphrase
	KEK      hexBytes `json:"kek,omitempty"`      // hybrid, passphrase, epoch
	AEAD     hexBytes `json:"chunk_key,omitempty"`
	Nonce    hexBytes `json:"base_nonce,omitempty"`
	MAC      hexBytes `json:"cbc_mac_key,omitempty"`
	AES      hexBytes `json:"cbc_aes_key,omitempty"`
}

// stepsOf computes them from the container's bytes, step by step as
// docs/formats/container.md has them.
func stepsOf(t *testing.T, h *header, payload []byte, f fileKeys, pair keys.Pair, ep *EpochKey, pass *PassphraseKey) (s steps, facts []byte) {
	t.Helper()
	var err1, err2, err3 error
	switch b := h.stanzas[0].Body; h.stanzas[0].Type {
	case TypeHybrid:
		kids, rsaCT, enc := b[:2*kidSize], b[2*kidSize:2*kidSize+pair.RSA.Size()], b[len(b)-wrappedSize-encSize:len(b)-wrappedSize]
		s.K1, err1 = rsa.DecryptOAEP(sha256.New(), nil, pair.RSA, rsaCT, []byte(domain+"/rsa"))
		s.K2, err2 = xwingReceive(pair.XWing, enc, doc.LP([]byte(domain+"/xwing"), h.file[:]))
		s.KEK, err3 = hybrid{domain, h.file[:]}.kek(s.K1, s.K2, kids, rsaCT, enc)
	case TypePassphrase:
		k, err := cheap.Derive(pass.secret, [16]byte(b))
		s.Argon2id, err1 = k[:], err
		s.KEK, err2 = pass.kek(cheap, [16]byte(b), h.file)
	case TypeEpoch:
		s.KEK, err1 = ep.kek(h.file)
	}
	info, n := "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00", 32+12
	if h.flags&flagCBC != 0 {
		info, n = "cipherdeck/cbc-hmac/v1\x00", 32+32
	}
	okm, err := hkdf.Expand(sha512.New, f.payload[:], info+string(payload[:24])+string(h.payloadContext()), n+32)
	if err := errors.Join(err, err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(okm[n:], payload[24:56]) {
		t.Error("another commitment")
	}
	if h.flags&flagCBC != 0 {
		s.MAC, s.AES = okm[:32], okm[32:64]
	} else {
		s.AEAD, s.Nonce = okm[:32], okm[32:44]
	}
	a, err := newGCM(f.meta)
	if err != nil {
		t.Fatal(err)
	}
	facts, err = a.Open(nil, h.meta[:metaNonce], h.meta[metaNonce:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, facts
}

// content is what must come out, and its length as the facts have it.
func (c vectorContainer) content() ([]byte, int64) {
	if c.Archive != nil {
		return c.Archive, SizeUnknown
	}
	return []byte(c.Plaintext), int64(len(c.Plaintext))
}

// vectorSet is the file: identities, and containers with what is in them.
type vectorSet struct {
	Note        string            `json:"note"`
	Seed        hexBytes          `json:"seed"` // account seed; RSA of 2048 bits
	RSA         hexBytes          `json:"rsa_pkcs8"`
	XWing       hexBytes          `json:"xwing_private_key"` // its seed
	Passphrase  string            `json:"passphrase"`        // Argon2id t=1, 19 MiB, p=1
	Project     hexBytes          `json:"project"`
	Epoch       uint32            `json:"epoch"`
	EpochKey    hexBytes          `json:"epoch_key"`
	Containers  []vectorContainer `json:"containers"`
	WrapContext string            `json:"wrap_context"`
	Wrapped     hexBytes          `json:"wrapped_key"`
	WrappedKey  hexBytes          `json:"wrapped_key_is"`
}

func (v vectorSet) identities(t *testing.T) (keys.Pair, *EpochKey, *PassphraseKey) {
	t.Helper()
	pair, err := keys.NewPair(t.Context(), keys.Seed(v.Seed), 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pair, Epoch(id.ID(v.Project), v.Epoch, [32]byte(v.EpochKey)), Passphrase([]byte(v.Passphrase), cheap)
}

// What version 1 wrote must open for ever, with the same keys on the way.
func TestVersion1Vectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectorSet
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	pair, ep, pass := v.identities(t)
	if pkcs8, xwing, err := pair.Marshal(); err != nil || !bytes.Equal(pkcs8, v.RSA) || !bytes.Equal(xwing, v.XWing) {
		t.Error("the seed gives other private keys", err)
	}
	if len(v.Containers) != 12 {
		t.Errorf("%d containers, want 12", len(v.Containers))
	}
	for _, c := range v.Containers {
		got, m, err := openBytes(c.Container, Pair(pair), ep, pass)
		if want, size := c.content(); err != nil || !bytes.Equal(got, want) || m.Name != c.Name || m.Size != size {
			t.Errorf("%s: %q %+v %v", c.To, got, m, err)
			continue
		}
		h, err := readHeader(bytes.NewReader(c.Container))
		if err != nil {
			t.Fatal(err)
		}
		k, err := h.unwrap([]Identity{Pair(pair), ep, pass})
		if err != nil {
			t.Fatal(err)
		}
		f, err := k.expand(h.file)
		if err != nil {
			t.Fatal(err)
		}
		if s, facts := stepsOf(t, h, c.Container[len(h.raw):], f, pair, ep, pass); !reflect.DeepEqual(s, c.Steps) || !bytes.Equal(facts, c.Facts) {
			t.Errorf("%s: %+v %x, want %+v %x", c.To, s, facts, c.Steps, c.Facts)
		}
		for name, pair := range map[string][2][]byte{
			"file key": {k[:], c.FileKey}, "header key": {f.header, c.HeaderKey}, "meta key": {f.meta, c.MetaKey},
			"payload key": {f.payload[:], c.PayloadKey}, "payload context": {h.payloadContext(), c.Context},
		} {
			if !bytes.Equal(pair[0], pair[1]) {
				t.Errorf("%s: %s is %x, want %x", c.To, name, pair[0], pair[1])
			}
		}
	}
	if k, err := UnwrapKey(pair, v.Wrapped, []byte(v.WrapContext)); err != nil || !bytes.Equal(k[:], v.WrappedKey) {
		t.Errorf("wrapped key: %x %v", k, err)
	}
}

// fill takes the keys of a container apart.
func (c *vectorContainer) fill(t *testing.T, b []byte, pair keys.Pair, ep *EpochKey, pass *PassphraseKey) {
	t.Helper()
	h, err := readHeader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	k, err := h.unwrap([]Identity{Pair(pair), ep, pass})
	if err != nil {
		t.Fatal(err)
	}
	f, err := k.expand(h.file)
	if err != nil {
		t.Fatal(err)
	}
	c.Steps, c.Facts = stepsOf(t, h, b[len(h.raw):], f, pair, ep, pass)
	c.Container, c.FileKey, c.HeaderKey, c.MetaKey, c.PayloadKey, c.Context = b, k[:], f.header, f.meta, f.payload[:], h.payloadContext()
}

// vectorArchive is a directory with one of each kind.
func vectorArchive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := archive.NewWriter(&b)
	for _, e := range []archive.Entry{
		{Path: "data", Kind: archive.Dir, Mode: 0o755, ModTime: 1_000_000_000},
		{Path: "data/caf\xe9", Kind: archive.File, Mode: 0o640, ModTime: 2_000_000_001, Size: 4},
		{Path: "data/latest", Kind: archive.Link, Mode: 0o777, ModTime: 3_000_000_002, Target: "caf\xe9"},
		{Path: "empty", Kind: archive.File, Mode: 0o600},
	} {
		if err == nil {
			err = w.Add(e, bytes.NewReader([]byte("abc\n")))
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func writeVectors(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	v := vectorSet{
		Note: "cipherdeck container version 1; see docs/formats/container.md",
		Seed: bytes.Repeat([]byte{0x42}, 32), Passphrase: "correct horse battery staple", Project: project[:], Epoch: 3,
		EpochKey: bytes.Repeat([]byte{0x43}, 32), WrapContext: "project 1 epoch 3", WrappedKey: bytes.Repeat([]byte{0x44}, 32),
	}
	pair, ep, pass := v.identities(t)
	pkcs8, xwing, err := pair.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	v.RSA, v.XWing = pkcs8, xwing
	pub, plain := pair.Public(), "The payload of the test vector.\n"
	add := func(name string, flags uint16, to ...Recipient) {
		c := vectorContainer{To: name, Name: "vector.txt", Plaintext: plain}
		if flags&flagArchive != 0 {
			c.Plaintext, c.Archive = "", vectorArchive(t)
		}
		content, size := c.content()
		var b bytes.Buffer
		if err := sealFlags(t.Context(), &b, bytes.NewReader(content), Meta{Name: c.Name, Size: size}, to, flags, nil); err != nil {
			t.Fatal(err)
		}
		c.fill(t, b.Bytes(), pair, ep, pass)
		v.Containers = append(v.Containers, c)
	}
	add("hybrid", 0, Hybrid(pub))
	add("X-Wing", 0, XWing(pub))
	add("RSA", 0, RSA(pub))
	add("passphrase", 0, pass)
	add("epoch", 0, ep)
	add("hidden", 0, Hidden(pub))
	add("many", 0, Hybrid(pub), XWing(pub), RSA(pub), ep)
	add("epoch, padded", flagPadded, ep)
	add("epoch, archive", flagArchive, ep)
	add("epoch, archive, padded", flagArchive|flagPadded, ep)
	add("epoch, CBC", flagCBC, ep)
	add("epoch, CBC, archive, padded", flagCBC|flagArchive|flagPadded, ep)
	w, err := WrapKey(pub, [32]byte(v.WrappedKey), []byte(v.WrapContext))
	if err != nil {
		t.Fatal(err)
	}
	v.Wrapped = w
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(out, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
