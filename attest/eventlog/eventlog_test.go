package eventlog

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	gotpm "github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest"
	"cipherdeck/attest/softtpm"
	"cipherdeck/crypto/doc"
)

func digest(s string) [32]byte { return sha256.Sum256([]byte(s)) }

func good() []Event {
	return []Event{
		{Name: "binary", Digest: digest("b"), Text: "v1"},
		{Name: "model/0", Digest: digest("m")},
		{Name: Ready, Digest: ReadyDigest()},
	}
}

func encode(t testing.TB, log []Event) []byte {
	t.Helper()
	b, err := doc.Encode(log)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readPCR(t *testing.T, tpm transport.TPM) []byte {
	t.Helper()
	r, err := gotpm.PCRRead{PCRSelectionIn: gotpm.TPMLPCRSelection{PCRSelections: []gotpm.TPMSPCRSelection{{
		Hash: gotpm.TPMAlgSHA256, PCRSelect: gotpm.PCClientCompatible.PCRs(PCR)}}}}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	return r.PCRValues.Digests[0].Buffer
}

func TestReplayIsWhatTheTPMHolds(t *testing.T) {
	tpm := softtpm.New(softtpm.Config{})
	b, err := NewBuilder(tpm)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range good()[:2] {
		if err := b.Add(e.Name, e.Digest, e.Text); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := b.Close()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw, encode(t, good())) {
		t.Fatalf("log %x", raw)
	}
	log, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Replay(log, attest.SHA256)
	if err != nil || !bytes.Equal(got[:], readPCR(t, tpm)) {
		t.Fatalf("replay %x, PCR %x, %v", got, readPCR(t, tpm), err)
	}
	if err := b.Add("late", digest("x"), ""); !errors.Is(err, ErrClosed) {
		t.Errorf("add after close: %v", err)
	}
	if _, err := b.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("close twice: %v", err)
	}
	if _, err := NewBuilder(tpm); !errors.Is(err, ErrUsed) {
		t.Errorf("second log on one PCR: %v", err)
	}
}

// Every bit of the log changes the replay or the parse.
func TestEveryBitIsCovered(t *testing.T) {
	raw := encode(t, good())
	want, err := Replay(good(), attest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) * 8 {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		log, err := Parse(bad)
		if err != nil {
			continue
		}
		if got, err := Replay(log, attest.SHA256); err != nil || bytes.Equal(got, want) {
			t.Fatalf("bit %d of byte %d flipped and the replay is the same", i%8, i/8)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	many := good()
	for i := range MaxEvents {
		many = append([]Event{{Name: fmt.Sprintf("e%d", i)}}, many...)
	}
	g := good()
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"nothing":       {nil, ErrSyntax},
		"empty":         {encode(t, []Event{}), ErrOpen},
		"not closed":    {encode(t, g[:2]), ErrOpen},
		"after ready":   {encode(t, append(good(), Event{Name: "late"})), ErrAfter},
		"two readies":   {encode(t, append(good(), g[2])), ErrAfter},
		"name twice":    {encode(t, []Event{g[0], g[0], g[2]}), ErrDuplicate},
		"other ready":   {encode(t, []Event{{Name: Ready}}), ErrOpen},
		"no name":       {encode(t, []Event{{}, g[2]}), ErrSyntax},
		"escape":        {encode(t, []Event{{Name: "\x1b[2J"}, g[2]}), ErrSyntax},
		"long name":     {encode(t, []Event{{Name: strings.Repeat("a", MaxName+1)}, g[2]}), ErrSyntax},
		"long text":     {encode(t, []Event{{Name: "a", Text: strings.Repeat("a", MaxText+1)}, g[2]}), ErrLimit},
		"many events":   {encode(t, many), ErrLimit},
		"many bytes":    {make([]byte, MaxBytes+1), ErrLimit},
		"trailing":      {append(encode(t, g), 0), ErrSyntax},
		"truncated":     {encode(t, g)[:40], ErrSyntax},
		"wide integer":  {append([]byte{0x98, 3}, encode(t, g)[1:]...), ErrSyntax},
		"short digest":  {[]byte{0x81, 0x83, 0x61, 'a', 0x41, 1, 0x60}, ErrSyntax},
		"huge array":    {[]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, ErrSyntax},
		"indefinite":    {[]byte{0x9f, 0xff}, ErrSyntax},
		"event of four": {[]byte{0x81, 0x84, 0x61, 'a', 0x40, 0x60, 0}, ErrSyntax},
	} {
		if _, err := Parse(c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestLargestLogFits(t *testing.T) {
	b, err := NewBuilder(softtpm.New(softtpm.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range MaxEvents - 1 {
		name := fmt.Sprintf("%0*d", MaxName, i)
		if err := b.Add(name, digest(name), strings.Repeat("t", MaxText)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Add("one-more", digest(""), ""); !errors.Is(err, ErrLimit) {
		t.Errorf("event %d: %v", MaxEvents, err)
	}
	raw, err := b.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(raw); err != nil {
		t.Fatal(err)
	}
}

func TestBuilderRefuses(t *testing.T) {
	tpm := softtpm.New(softtpm.Config{})
	b, err := NewBuilder(tpm)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		event, text string
		want        error
	}{
		"ready":     {Ready, "", ErrSyntax},
		"upper":     {"A", "", ErrSyntax},
		"no name":   {"", "", ErrSyntax},
		"long text": {"a", strings.Repeat("x", MaxText+1), ErrLimit},
	} {
		if err := b.Add(c.event, digest(""), c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if pcr := readPCR(t, tpm); !bytes.Equal(pcr, make([]byte, 32)) {
		t.Errorf("refused events were extended: %x", pcr)
	}
}

// broken answers reads and fails extends.
type broken struct{ transport.TPM }

func (b broken) Send(in []byte) ([]byte, error) {
	if len(in) > 9 && in[8] == 1 && in[9] == 0x82 {
		return nil, errors.New("bus error")
	}
	return b.TPM.Send(in)
}

func TestFailedExtendEndsTheLog(t *testing.T) {
	b, err := NewBuilder(broken{softtpm.New(softtpm.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Add("a", digest(""), ""); err == nil {
		t.Fatal("extend did not fail")
	}
	if _, err := b.Close(); !errors.Is(err, ErrClosed) {
		t.Fatalf("log goes on: %v", err)
	}
}

// FuzzEventlog: what parses is closed, within bounds and has one encoding.
func FuzzEventlog(f *testing.F) {
	f.Add(encode(f, good()))
	f.Add(encode(f, good()[2:]))
	f.Add([]byte{0x80})
	f.Add([]byte{0x81, 0x83, 0x65, 'r', 'e', 'a', 'd', 'y', 0x58, 0x20})
	f.Fuzz(func(t *testing.T, raw []byte) {
		log, err := Parse(raw)
		if err != nil {
			return
		}
		if again := encode(t, log); !bytes.Equal(again, raw) {
			t.Fatalf("%x is also %x", raw, again)
		}
		if _, err := Replay(log, attest.SHA256); err != nil || log[len(log)-1].Name != Ready {
			t.Fatalf("%v, %+v", err, log)
		}
	})
}
