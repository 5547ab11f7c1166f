package tlog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// ErrCosignature is wrapped by OpenCosignature.
var ErrCosignature = errors.New("not a cosignature of this checkpoint by this witness")

// maxLine bounds a line of signature in bytes: a name and some 110 characters.
const maxLine = 512

// SignerOf reads whose signature line claims to be, without verifying anything.
// Errors wrap ErrCosignature.
func SignerOf(line []byte) (name string, err error) {
	part := strings.Split(string(line), " ")
	if len(line) > maxLine || len(part) != 3 || part[0] != "—" || part[1] == "" || strings.IndexByte(string(line), '\n') != len(line)-1 {
		return "", fmt.Errorf("%w: want one line of signature", ErrCosignature)
	}
	return part[1], nil
}

// OpenCosignature verifies line, one signature line as Cosign makes it, as that
// of a witness on c, and says when the witness signed.
func OpenCosignature(c Checkpoint, line []byte, w Key) (time.Time, error) {
	name, err := SignerOf(line)
	if err != nil {
		return time.Time{}, err
	}
	if name != w.Name || w.Kind != Witness {
		return time.Time{}, fmt.Errorf("%w: it is of %q, not of %q", ErrCosignature, name, w.Name)
	}
	n, err := note.Open(append([]byte(c.Text()+"\n"), line...), note.VerifierList(verifier{w}))
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %s: %w", ErrCosignature, w.Name, err)
	}
	return stamp(n.Sigs[0].Base64), nil
}
