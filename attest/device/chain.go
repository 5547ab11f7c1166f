package device

import (
	"errors"
	"fmt"

	gotpm "github.com/google/go-tpm/tpm2"
)

// Where certificates lie in non-volatile memory (TCG EK Credential Profile,
// 2.2.1.4 and 2.2.1.5).
const (
	indexRSA    = 0x01C00002 // RSA 2048
	indexECC    = 0x01C0000A // ECC P-256
	indexECC384 = 0x01C00016 // ECC P-384
	firstCA     = 0x01C00100
	lastCA      = 0x01C001FF

	maxCert  = 8 << 10
	readStep = 512
	maxCAs   = 5
)

// readChain reads the certificate of the first endorsement key that has one,
// ECC before RSA, and the authorities beside it.
func readChain(d *Device) ([][]byte, error) {
	for _, index := range []gotpm.TPMHandle{indexECC, indexECC384, indexRSA} {
		leaf, err := readNV(d, index)
		if err != nil {
			return nil, err
		}
		if leaf == nil {
			continue
		}
		cas, err := readCAs(d)
		return append([][]byte{leaf}, cas...), err
	}
	return nil, nil
}

// readCAs reads the authorities' certificates, which may be cut at any place:
// they are one byte string over all indices.
func readCAs(d *Device) ([][]byte, error) {
	var all []byte
	for i := gotpm.TPMHandle(firstCA); i <= lastCA && len(all) < maxCAs*maxCert; i++ {
		part, err := readNV(d, i)
		if err != nil {
			return nil, err
		}
		if part == nil {
			break
		}
		all = append(all, part...)
	}
	var out [][]byte
	for len(all) > 0 && len(out) < maxCAs {
		n := derLength(all)
		if n == 0 || n > len(all) {
			break // padding, or nothing that we can read
		}
		out = append(out, all[:n])
		all = all[n:]
	}
	return out, nil
}

// derLength is how long the DER sequence at the start of b is; 0 when there is
// none.
func derLength(b []byte) int {
	if len(b) < 4 || b[0] != 0x30 || b[1] != 0x82 {
		return 0
	}
	return 4 + int(b[2])<<8 + int(b[3])
}

// readNV reads a whole index; nil when it is not defined or not written.
func readNV(d *Device, index gotpm.TPMHandle) ([]byte, error) {
	pub, err := gotpm.NVReadPublic{NVIndex: index}.Execute(d)
	var code gotpm.TPMRC
	if errors.As(err, &code) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDead, err)
	}
	info, err := pub.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDead, err)
	}
	size := int(info.DataSize)
	if size > maxCert {
		return nil, nil
	}
	var out []byte
	for len(out) < size {
		r, err := gotpm.NVRead{
			AuthHandle: gotpm.AuthHandle{Handle: index, Name: pub.NVName, Auth: gotpm.PasswordAuth(nil)},
			NVIndex:    gotpm.NamedHandle{Handle: index, Name: pub.NVName},
			Size:       uint16(min(readStep, size-len(out))), Offset: uint16(len(out)),
		}.Execute(d)
		if errors.As(err, &code) {
			return nil, nil
		}
		if err != nil || len(r.Data.Buffer) == 0 {
			return nil, fmt.Errorf("%w: NV index %08x: %w", ErrDead, uint32(index), err)
		}
		out = append(out, r.Data.Buffer...)
	}
	if n := derLength(out); n > 0 && n <= len(out) {
		out = out[:n] // some chips pad
	}
	return out, nil
}
