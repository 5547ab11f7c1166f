// Package car writes content-addressed archives, CAR version 1: a header that
// names a root, and then blocks, each with its CID. IPFS tools read it
// (ipfs dag import), and a screenful of any language does.
//
//	header  varint length ‖ DAG-CBOR {"roots": [CID], "version": 1}
//	block   varint length of what follows ‖ CID (36 bytes) ‖ bytes
//
// See https://ipld.io/specs/transport/car/carv1/.
package car

import (
	"encoding/binary"
	"fmt"
	"io"

	"cipherdeck/crypto/id"
)

// cid is CIDv1, codec raw, sha2-256 of 32 bytes, before the hash.
const cid = "\x01\x55\x12\x20"

// Writer writes one archive.
type Writer struct{ w io.Writer }

// NewWriter begins an archive with the one root.
func NewWriter(w io.Writer, root id.ID) (*Writer, error) {
	// Map of two; keys shorter first. Tag 42 is a CID, of which the bytes begin with a zero.
	head := []byte("\xa2\x65roots\x81\xd8\x2a\x58\x25\x00" + cid)
	head = append(head, root[:]...)
	head = append(head, "\x67version\x01"...)
	_, err := w.Write(append(binary.AppendUvarint(nil, uint64(len(head))), head...))
	return &Writer{w}, err
}

// Put adds a block, which must be what i names.
func (a *Writer) Put(i id.ID, block []byte) error {
	if id.Of(block) != i {
		return fmt.Errorf("archive: %d bytes are not %s", len(block), i)
	}
	head := binary.AppendUvarint(nil, uint64(len(cid)+len(i)+len(block)))
	head = append(append(head, cid...), i[:]...)
	if _, err := a.w.Write(head); err != nil {
		return err
	}
	_, err := a.w.Write(block)
	return err
}
