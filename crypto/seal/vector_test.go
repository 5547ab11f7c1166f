package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"testing/cryptotest"

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
	Name       string   `json:"name"`
	Plaintext  string   `json:"plaintext"`
}

// vectorSet is the file: identities, and containers with what is in them.
type vectorSet struct {
	Note        string            `json:"note"`
	Seed        hexBytes          `json:"seed"` // account seed; RSA of 2048 bits
	Passphrase  string            `json:"passphrase"`
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
	if len(v.Containers) != 5 {
		t.Errorf("%d containers, want 5", len(v.Containers))
	}
	for _, c := range v.Containers {
		got, m, err := openBytes(c.Container, Pair(pair), ep, pass)
		if err != nil || string(got) != c.Plaintext || m.Name != c.Name || m.Size != int64(len(got)) {
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

func writeVectors(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	v := vectorSet{
		Note: "cipherdeck container version 1, draft until frozen; see docs/formats/container.md",
		Seed: bytes.Repeat([]byte{0x42}, 32), Passphrase: "correct horse battery staple", Project: project[:], Epoch: 3,
		EpochKey: bytes.Repeat([]byte{0x43}, 32), WrapContext: "project 1 epoch 3", WrappedKey: bytes.Repeat([]byte{0x44}, 32),
	}
	pair, ep, pass := v.identities(t)
	pub, plain := pair.Public(), "The payload of the test vector.\n"
	to := []Recipient{Hybrid(pub), XWing(pub), RSA(pub), pass, ep}
	for i, name := range []string{"hybrid", "X-Wing", "RSA", "passphrase", "epoch"} {
		b := sealBytes(t, []byte(plain), Meta{Name: "vector.txt", Size: int64(len(plain))}, to[i])
		h, err := readHeader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		k, err := h.unwrap([]Identity{Pair(pair), ep, pass})
		if err != nil {
			t.Fatal(err)
		}
		f, _ := k.expand(h.file)
		v.Containers = append(v.Containers, vectorContainer{name, b, k[:], f.header, f.meta, f.payload[:], h.payloadContext(), "vector.txt", plain})
	}
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
