package seal

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
)

// Info is what anybody can see of a container. None of it is authenticated.
type Info struct {
	Version    uint16
	Flags      uint16
	HeaderLen  int64
	File       FileID
	Recipients []RecipientInfo

	Stored int64 // of the container in bytes, 0 if not known (Inspect reads a stream)
	Plain  int64 // of the plaintext in bytes with padding, SizeUnknown if not known
	Fill   int   // bytes of the header that are free for more recipients
}

// measure tells lengths from that of the file, which nothing authenticates.
// Errors wrap ErrTruncated for a length that no container has.
func (i *Info) measure(st os.FileInfo) (err error) {
	i.Stored = st.Size()
	if i.CBC() {
		return nil // its length tells the plaintext's to 16 bytes only
	}
	i.Plain, err = cobblestone.PlainSize(i.Stored - i.HeaderLen)
	return payloadError(err)
}

// PostQuantum reports whether a quantum computer leaves all stanzas closed.
func (i Info) PostQuantum() bool {
	for _, r := range i.Recipients {
		if !r.PostQuantum() {
			return false
		}
	}
	return true
}

// Padded reports whether the length of the content is hidden.
func (i Info) Padded() bool { return i.Flags&flagPadded != 0 }

// CBC reports whether the payload is AES-256-CBC with HMAC-SHA-512 instead of
// AES-256-GCM.
func (i Info) CBC() bool { return i.Flags&flagCBC != 0 }

// Archive reports whether the content is a directory: open it with OpenFile,
// OpenArchive or ExtractMember.
func (i Info) Archive() bool { return i.Flags&flagArchive != 0 }

// RecipientInfo is what anybody can see of a stanza; fields that its type does
// not have are zero.
type RecipientInfo struct {
	Type   uint8
	Hidden bool          // no key ids
	RSA    doc.KeyID     // hybrid, RSA
	XWing  doc.KeyID     // hybrid, X-Wing
	Prefix [16]byte      // epoch: beginning of the project's id
	Epoch  uint32        // epoch
	Cost   keys.Argon2id // passphrase
}

// Inspect reads the header of a container without keys. Errors wrap
// ErrNotContainer, ErrVersion, ErrHeader or ErrTruncated.
func Inspect(src io.Reader) (Info, error) {
	h, err := readHeader(src)
	if err != nil {
		return Info{}, err
	}
	return h.info(), nil
}

func (h *header) info() Info {
	i := Info{Version: version, Flags: h.flags, HeaderLen: int64(len(h.raw)), File: h.file, Plain: SizeUnknown, Fill: h.fill}
	for _, s := range h.stanzas {
		i.Recipients = append(i.Recipients, s.info())
	}
	return i
}

// info never fails: a body too short for its type shows nothing.
func (s Stanza) info() RecipientInfo {
	r, b := RecipientInfo{Type: s.Type}, s.Body
	switch {
	case s.Type == TypeHybrid && len(b) >= 2*kidSize:
		r.RSA, r.XWing = doc.KeyID(b), doc.KeyID(b[kidSize:])
	case s.Type == TypeXWing && len(b) >= kidSize:
		r.XWing = doc.KeyID(b)
	case s.Type == TypeRSA && len(b) >= kidSize:
		r.RSA = doc.KeyID(b)
	case s.Type == TypePassphrase:
		r.Cost, _ = passphraseCost(b)
		return r
	case s.Type == TypeEpoch && len(b) >= 20:
		r.Prefix, r.Epoch = [16]byte(b), binary.BigEndian.Uint32(b[16:])
		return r
	default:
		return r
	}
	r.Hidden = r.RSA == doc.KeyID{} && r.XWing == doc.KeyID{}
	return r
}

// PostQuantum reports whether a quantum computer leaves the stanza closed. For
// a stanza of unknown type it is false.
func (r RecipientInfo) PostQuantum() bool {
	return r.Type == TypeHybrid || r.Type == TypeXWing || r.Type == TypePassphrase || r.Type == TypeEpoch
}

// key is the same for two stanzas to the same recipient, "" when that cannot
// be seen.
func (r RecipientInfo) key() string {
	if r.Hidden || r.Type == TypePassphrase {
		return ""
	}
	return fmt.Sprint(r.Type, r.RSA, r.XWing, r.Prefix, r.Epoch)
}
