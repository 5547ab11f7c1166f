package vault

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"strings"
)

const (
	// magic has a byte above 127 and both kinds of line end, so that a transfer
	// in text mode is noticed (the idea of PNG).
	magic   = "\x89CDV\r\n\x1a\n"
	version = 4 // what is written; 1 to 3 are read

	idSize   = 16
	keySize  = 32
	maxSlots = 8
	maxFile  = 16 << 20

	labelSlots = "cipherdeck/vault/v1/slots"
	labelBody  = "cipherdeck/vault/v1/body"
)

// file is a vault file taken apart. Nothing in it is believed before verify.
type file struct {
	version    uint16
	id         [idSize]byte
	generation uint64 // counts saves
	rotations  uint32 // counts vault keys; always 0 in version 1
	slots      []slot
	mac        []byte // HMAC over all bytes before it
	body       []byte // sealed State
}

// head is everything that the MAC covers.
func (f *file) head() []byte {
	b := binary.BigEndian.AppendUint16([]byte(magic), f.version)
	b = append(b, f.id[:]...)
	b = binary.BigEndian.AppendUint64(b, f.generation)
	if f.version > 1 {
		b = binary.BigEndian.AppendUint32(b, f.rotations)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.slots)))
	for _, s := range f.slots {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s.raw)))
		b = append(b, s.raw...)
		b = append(b, s.sealed...)
	}
	return b
}

// marshal authenticates the slots, seals plain and returns the whole file.
func (f *file) marshal(key, plain []byte) ([]byte, error) {
	mac, err := f.sum(key)
	if err != nil {
		return nil, err
	}
	body, err := sealBody(key, f.context(), plain)
	if err != nil {
		return nil, fmt.Errorf("seal the vault: %w", err)
	}
	b := append(f.head(), mac...)
	b = append(b, body...)
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	if len(b) > maxFile {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, len(b), maxFile)
	}
	return b, nil
}

// open verifies the slots and opens the body. Errors wrap ErrDamaged.
func (f *file) open(key []byte) (plain []byte, err error) {
	if err := f.authenticate(key); err != nil {
		return nil, err
	}
	plain, err = openBody(key, f.context(), f.body)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return plain, nil
}

// authenticate verifies the slots. Errors wrap ErrDamaged.
func (f *file) authenticate(key []byte) error {
	want, err := f.sum(key)
	if err != nil {
		return err
	}
	if !hmac.Equal(want, f.mac) {
		return fmt.Errorf("%w: the list of slots is not the one that was saved", ErrDamaged)
	}
	return nil
}

func (f *file) sum(key []byte) ([]byte, error) {
	k, err := derive(key, labelSlots)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	m := hmac.New(sha256.New, k)
	m.Write(f.head())
	return m.Sum(nil), nil
}

// context binds the body to this vault and this save.
func (f *file) context() []byte {
	return binary.BigEndian.AppendUint64(f.id[:len(f.id):len(f.id)], f.generation)
}

func derive(key []byte, label string) ([]byte, error) {
	return hkdf.Key(sha512.New, key, nil, label, keySize)
}

// parse takes a file apart. The checksum at its end has no secret: it is there
// so that a bad disk or a cut copy is called damage, not a wrong passphrase.
// Errors wrap ErrNotVault, ErrVersion or ErrDamaged.
func parse(b []byte) (*file, error) {
	if !strings.HasPrefix(string(b[:min(len(b), len(magic))]), magic) {
		if len(b) > 0 && strings.HasPrefix(magic, string(b)) {
			return nil, fmt.Errorf("%w: cut off after %d bytes", ErrDamaged, len(b))
		}
		return nil, ErrNotVault
	}
	r := &reader{b: b[len(magic):]}
	v := r.u16()
	if (v < 1 || v > version) && !r.short {
		return nil, fmt.Errorf("%w: version %d, want 1 to %d", ErrVersion, v, version)
	}
	if len(b) < sha256.Size {
		return nil, fmt.Errorf("%w: cut off after %d bytes", ErrDamaged, len(b))
	}
	end := len(b) - sha256.Size
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return nil, fmt.Errorf("%w: checksum does not match", ErrDamaged)
	}
	r.b = r.b[:max(0, len(r.b)-sha256.Size)]
	return r.file(v)
}

func (r *reader) file(version uint16) (*file, error) {
	f := &file{version: version}
	copy(f.id[:], r.take(idSize))
	f.generation = r.u64()
	if version > 1 {
		f.rotations = r.u32()
	}
	n := r.u16()
	if n < 1 || n > maxSlots {
		return nil, fmt.Errorf("%w: %d slots, want 1 to %d", ErrDamaged, n, maxSlots)
	}
	for range n {
		s, err := parseSlot(r.take(int(r.u16())), r.take(sealedSize))
		if err != nil {
			return nil, err
		}
		if s.Type > newestSlot(version) || version == 1 && len(s.Data) > 0 {
			return nil, fmt.Errorf("%w: slot of type %d, which version %d has not", ErrDamaged, s.Type, version)
		}
		f.slots = append(f.slots, s)
	}
	f.mac = r.take(sha256.Size)
	f.body = r.b
	if r.short {
		return nil, fmt.Errorf("%w: shorter than its own lengths say", ErrDamaged)
	}
	return f, nil
}

// reader takes fixed pieces off a byte slice; past the end it gives zeroes and
// remembers.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.short, r.b = true, nil
		return make([]byte, n)
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }
