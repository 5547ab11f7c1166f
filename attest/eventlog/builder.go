package eventlog

import (
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"

	gotpm "github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/crypto/doc"
)

// The errors of a Builder.
var (
	// ErrUsed is returned by NewBuilder when PCR 14 is not zero: something was
	// measured into it since the machine started, so no log of ours replays.
	ErrUsed = errors.New("PCR 14 was extended before: restart the machine")
	// ErrClosed is returned after Close, and after an extend that failed.
	ErrClosed = errors.New("event log is closed")
)

// Builder writes a log and extends PCR 14 with it. It is for one goroutine.
type Builder struct {
	tpm  transport.TPM
	log  []Event
	done bool
}

// NewBuilder starts a log. PCR 14 must still be zero.
func NewBuilder(tpm transport.TPM) (*Builder, error) {
	sel := gotpm.TPMLPCRSelection{PCRSelections: []gotpm.TPMSPCRSelection{{
		Hash: gotpm.TPMAlgSHA256, PCRSelect: gotpm.PCClientCompatible.PCRs(PCR),
	}}}
	r, err := gotpm.PCRRead{PCRSelectionIn: sel}.Execute(tpm)
	if err != nil {
		return nil, fmt.Errorf("read PCR %d: %w", PCR, err)
	}
	if n := len(r.PCRValues.Digests); n != 1 {
		return nil, fmt.Errorf("read PCR %d: TPM gave %d values, want 1 (is the SHA-256 bank on?)", PCR, n)
	}
	var zero [32]byte
	if string(r.PCRValues.Digests[0].Buffer) != string(zero[:]) {
		return nil, ErrUsed
	}
	return &Builder{tpm: tpm}, nil
}

// Add measures one thing: digest is its SHA-256, text a word for people. The
// TPM is extended before the event is written down, so a log never claims
// less than the register.
func (b *Builder) Add(name string, digest [32]byte, text string) error {
	if b.done {
		return ErrClosed
	}
	e := Event{Name: name, Digest: digest, Text: text}
	if name == Ready {
		return fmt.Errorf("%w: %q is written by Close", ErrSyntax, Ready)
	}
	return b.add(e)
}

// Close writes "ready" and returns the log's bytes.
func (b *Builder) Close() ([]byte, error) {
	if b.done {
		return nil, ErrClosed
	}
	if err := b.add(Event{Name: Ready, Digest: ReadyDigest()}); err != nil {
		return nil, err
	}
	b.done = true
	return doc.Encode(b.log)
}

func (b *Builder) add(e Event) error {
	if err := e.check(); err != nil {
		return err
	}
	for _, old := range b.log {
		if old.Name == e.Name {
			return fmt.Errorf("%w: %q", ErrDuplicate, e.Name)
		}
	}
	if room := MaxEvents - len(b.log); room < 1 || (room == 1 && e.Name != Ready) {
		return fmt.Errorf("%w: %d events, limit %d with \"ready\"", ErrLimit, len(b.log)+1, MaxEvents)
	}
	raw, err := doc.Encode(e)
	if err != nil {
		return fmt.Errorf("%w: event %q: %v", ErrSyntax, e.Name, err)
	}
	if err := extend(b.tpm, raw); err != nil {
		b.done = true
		return fmt.Errorf("extend PCR %d with %q: %w", PCR, e.Name, err)
	}
	b.log = append(b.log, e)
	return nil
}

// extend measures raw into every accepted bank that the TPM has. A TPM that
// knows no SHA-384 refuses the whole command and extends nothing.
func extend(tpm transport.TPM, raw []byte) error {
	small, large := sha256.Sum256(raw), sha512.Sum384(raw)
	both := []gotpm.TPMTHA{{HashAlg: gotpm.TPMAlgSHA256, Digest: small[:]}, {HashAlg: gotpm.TPMAlgSHA384, Digest: large[:]}}
	err := extendWith(tpm, both)
	if errors.Is(err, gotpm.TPMRCHash) {
		return extendWith(tpm, both[:1])
	}
	return err
}

func extendWith(tpm transport.TPM, digests []gotpm.TPMTHA) error {
	_, err := gotpm.PCRExtend{
		PCRHandle: gotpm.AuthHandle{Handle: gotpm.TPMHandle(PCR), Auth: gotpm.PasswordAuth(nil)},
		Digests:   gotpm.TPMLDigestValues{Digests: digests},
	}.Execute(tpm)
	return err
}
