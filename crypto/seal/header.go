package seal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"cipherdeck/crypto/doc"
)

// Layout of the header; docs/formats/container.md has the table.
const (
	magic       = "\x89CDK\r\n\x1a\n" // not text, and changed by whatever changes line ends
	version     = 1
	fixedSize   = 34      // up to the first stanza
	headerUnit  = 4096    // headers are whole units: extents stay aligned, recipients are hard to count
	headerMax   = 1 << 20 // bounds what a stranger can make us read
	macSize     = 32
	maxStanzas  = 1024
	stanzaFixed = 4
)

// Flags of a container. A reader ignores unknown ones below critical and
// refuses unknown ones above.
const (
	flagPadded   = 1 << 0 // after the content come zeros and its length
	flagArchive  = 1 << 1 // the content is an archive of a directory
	flagCBC      = 1 << 8 // the payload is AES-256-CBC and HMAC (package cbchmac)
	flagCritical = 0xff00
)

// header is a parsed header; raw is all of it.
type header struct {
	raw     []byte
	flags   uint16
	file    FileID
	stanzas []Stanza
	meta    []byte // nonce ‖ ciphertext, as stored
	fill    int    // zero bytes
}

// readHeader reads and parses exactly the header from src. Nothing in it is
// authentic yet. Errors wrap ErrNotContainer, ErrVersion, ErrHeader or
// ErrTruncated.
func readHeader(src io.Reader) (*header, error) {
	fixed := make([]byte, fixedSize)
	n, err := io.ReadFull(src, fixed)
	if n < len(magic) && cutOff(err) || n >= len(magic) && string(fixed[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin with the container's first %d bytes", ErrNotContainer, len(magic))
	}
	if err != nil {
		return nil, truncated(err, "in the first bytes of the header")
	}
	if v := binary.BigEndian.Uint16(fixed[8:]); v != version {
		return nil, fmt.Errorf("%w: version %d, this program knows %d", ErrVersion, v, version)
	}
	size := binary.BigEndian.Uint32(fixed[12:])
	if size == 0 || size%headerUnit != 0 || size > headerMax {
		return nil, fmt.Errorf("%w: header of %d bytes, want a multiple of %d up to %d", ErrHeader, size, headerUnit, headerMax)
	}
	raw := make([]byte, size)
	copy(raw, fixed)
	if _, err := io.ReadFull(src, raw[fixedSize:]); err != nil {
		return nil, truncated(err, "in the header")
	}
	return parseHeader(raw)
}

func cutOff(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

func truncated(err error, where string) error {
	if cutOff(err) {
		return fmt.Errorf("%w: it ends %s", ErrTruncated, where)
	}
	return err
}

// parseHeader splits raw, whose magic, version and length have been checked.
func parseHeader(raw []byte) (*header, error) {
	h := &header{raw: raw, flags: binary.BigEndian.Uint16(raw[10:]), file: FileID(raw[16:32])}
	if bad := h.flags & flagCritical &^ flagCBC; bad != 0 {
		return nil, fmt.Errorf("%w: feature flags %#04x are not supported", ErrVersion, bad)
	}
	count := int(binary.BigEndian.Uint16(raw[32:]))
	if count < 1 || count > maxStanzas {
		return nil, fmt.Errorf("%w: %d recipients, want 1 to %d", ErrHeader, count, maxStanzas)
	}
	rest := raw[fixedSize : len(raw)-macSize]
	var err error
	for range count {
		if rest, err = h.takeStanza(rest); err != nil {
			return nil, err
		}
	}
	if err := checkAlone(h.stanzas); err != nil {
		return nil, err
	}
	return h, h.takeMeta(rest)
}

func (h *header) takeStanza(b []byte) (rest []byte, err error) {
	if len(b) < stanzaFixed {
		return nil, fmt.Errorf("%w: recipient %d does not fit", ErrHeader, len(h.stanzas)+1)
	}
	s, n := Stanza{Type: b[0], Flags: b[1]}, int(binary.BigEndian.Uint16(b[2:]))
	if s.Flags != 0 {
		return nil, fmt.Errorf("%w: recipient %d has flags %#02x", ErrVersion, len(h.stanzas)+1, s.Flags)
	}
	if b = b[stanzaFixed:]; n > len(b) {
		return nil, fmt.Errorf("%w: recipient %d does not fit", ErrHeader, len(h.stanzas)+1)
	}
	s.Body = b[:n]
	h.stanzas = append(h.stanzas, s)
	return b[n:], nil
}

// takeMeta takes the meta field, after which all bytes must be zero.
func (h *header) takeMeta(b []byte) error {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return fmt.Errorf("%w: encrypted facts do not fit", ErrHeader)
	}
	n := int(binary.BigEndian.Uint32(b))
	if n < metaNonce+tagSize {
		return fmt.Errorf("%w: encrypted facts of %d bytes", ErrHeader, n)
	}
	h.meta, h.fill = b[4:4+n], len(b)-4-n
	for _, c := range b[4+n:] {
		if c != 0 {
			return fmt.Errorf("%w: the fill is not zero", ErrHeader)
		}
	}
	return nil
}

// checkAlone keeps a passphrase the only way in: whoever knows a passphrase
// could otherwise pass the file off as addressed to the other recipients.
func checkAlone(stanzas []Stanza) error {
	for _, s := range stanzas {
		if s.Type == TypePassphrase && len(stanzas) != 1 {
			return fmt.Errorf("%w: a passphrase beside other recipients", ErrHeader)
		}
	}
	return nil
}

// build lays the header out and returns it with the MAC under key still zero.
func (h *header) build() ([]byte, error) {
	b := []byte(magic)
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint16(b, h.flags)
	b = binary.BigEndian.AppendUint32(b, 0) // length, below
	b = append(b, h.file[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.stanzas)))
	for _, s := range h.stanzas {
		if len(s.Body) > 1<<16-1 {
			return nil, fmt.Errorf("%w: a stanza of %d bytes", ErrRecipients, len(s.Body))
		}
		b = append(b, s.Type, s.Flags)
		b = binary.BigEndian.AppendUint16(b, uint16(len(s.Body)))
		b = append(b, s.Body...)
	}
	b = append(b, doc.LP(h.meta)...)
	size := (len(b) + macSize + headerUnit - 1) / headerUnit * headerUnit
	if size > headerMax {
		return nil, fmt.Errorf("%w: the header would have %d bytes, limit %d; use a project epoch for so many", ErrRecipients, size, headerMax)
	}
	b = append(b, bytes.Repeat([]byte{0}, size-len(b))...)
	binary.BigEndian.PutUint32(b[12:], uint32(size))
	return b, nil
}
