package agent

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"cipherdeck/crypto/doc"
)

// maxFrame bounds a message before anything is allocated for it.
const maxFrame = 1024

const protocolVersion = 1

// The operations.
const (
	opPut    = "put"
	opGet    = "get"
	opLock   = "lock"
	opStatus = "status"
)

// request is what a client sends, one for each connection.
type request struct {
	Version uint8  `cbor:"1,keyasint"`
	Op      string `cbor:"2,keyasint"`
	Vault   string `cbor:"3,keyasint"` // id in hex; empty in a lock of all and in status
	Key     []byte `cbor:"4,keyasint"` // of put, 32 bytes
	Life    uint32 `cbor:"5,keyasint"` // of put: seconds
	Idle    uint32 `cbor:"6,keyasint"` // of put: seconds; 0 for no limit but Life
	Confirm bool   `cbor:"7,keyasint"` // of put: ask at each get
	Purpose string `cbor:"8,keyasint"` // of get: the command, for the question
}

// reply is what the agent answers.
type reply struct {
	Code string    `cbor:"1,keyasint"` // "ok" or the name of an error
	Key  []byte    `cbor:"2,keyasint"` // of get
	Held []heldKey `cbor:"3,keyasint"` // of status
}

// heldKey is a line of status.
type heldKey struct {
	Vault   string `cbor:"1,keyasint"`
	Ends    int64  `cbor:"2,keyasint"` // Unix seconds
	Confirm bool   `cbor:"3,keyasint"`
}

// codes are the errors that a reply can carry.
func codes() map[string]error {
	return map[string]error{"not-held": ErrNotHeld, "denied": ErrDenied, "no-confirm": ErrNoConfirm, "full": ErrFull, "protocol": ErrProtocol}
}

func codeOf(err error) string {
	for code, e := range codes() {
		if errors.Is(err, e) {
			return code
		}
	}
	return "protocol"
}

// writeFrame sends v as u32 length ‖ deterministic CBOR, in one piece.
func writeFrame(w io.Writer, v any) error {
	b, err := doc.Encode(v)
	if err != nil {
		return err
	}
	defer clear(b)
	if len(b) > maxFrame {
		return fmt.Errorf("%w: message of %d bytes, limit %d", ErrProtocol, len(b), maxFrame)
	}
	frame := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...)
	defer clear(frame)
	_, err = w.Write(frame)
	return err
}

func readFrame(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return fmt.Errorf("%w: message of %d bytes, limit %d", ErrProtocol, n, maxFrame)
	}
	b := make([]byte, n)
	defer clear(b)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if err := doc.Decode(b, v); err != nil {
		return fmt.Errorf("%w: %v", ErrProtocol, err)
	}
	return nil
}

// check refuses a request whose fields do not suit its operation.
func (q request) check() error {
	id, err := hex.DecodeString(q.Vault)
	named := err == nil && len(id) == 16
	put := q.Op == opPut
	switch {
	case q.Version != protocolVersion:
		return fmt.Errorf("%w: version %d, want %d", ErrProtocol, q.Version, protocolVersion)
	case put != (len(q.Key) == keySize), !put && len(q.Key) > 0, !put && (q.Life != 0 || q.Idle != 0 || q.Confirm), put && q.Life == 0:
		return fmt.Errorf("%w: fields of another operation than %q", ErrProtocol, q.Op)
	case len(q.Purpose) > 64, q.Purpose != "" && q.Op != opGet:
		return fmt.Errorf("%w: purpose has %d bytes, limit 64, and only get has one", ErrProtocol, len(q.Purpose))
	case put && named, q.Op == opGet && named, q.Op == opLock && (named || q.Vault == ""), q.Op == opStatus && q.Vault == "":
		return nil
	}
	return fmt.Errorf("%w: operation %q on vault %.40q", ErrProtocol, q.Op, q.Vault)
}
