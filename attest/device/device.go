// Package device opens the TPM that a machine attests with: the software TPM
// inside this process, the swtpm program as a child process, or whatever
// answers at a path: the kernel's /dev/tpmrm0, or a Unix socket.
//
// All three speak the same protocol, and nothing above this package knows which
// one it has. What each is worth is decided by who certified it (package ek).
package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	gotpm "github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest/softtpm"
)

// The errors of Open.
var (
	// ErrSpec is wrapped when a back end is not one that can be opened.
	ErrSpec = errors.New("no such TPM")
	// ErrDead is wrapped when a TPM was opened and does not answer as one.
	ErrDead = errors.New("TPM does not answer")
)

// The back ends that are not paths.
const (
	Soft  = "soft"
	Swtpm = "swtpm"
)

// Device is an open TPM, for any number of goroutines. Close it: a child process
// or a file waits.
type Device struct {
	transport.TPM
	mu    sync.Mutex
	Kind  string   // "device", "swtpm" or "soft"
	Chain [][]byte // EK certificates in DER, the EK's first; may be empty
	close func() error
}

// Send runs one command. They go in turn: what lies below writes one and then
// reads one answer.
func (d *Device) Send(command []byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.TPM.Send(command)
}

// Close shuts the TPM down in order, so that it counts no wrong try, and
// closes it.
func (d *Device) Close() error {
	if d.Kind != "device" { // the machine's own goes on after us
		_, _ = gotpm.Shutdown{ShutdownType: gotpm.TPMSUClear}.Execute(d)
	}
	if d.close == nil {
		return nil
	}
	return d.close()
}

// Check says whether spec is one that Open knows, without opening anything.
func Check(spec string) error {
	if spec != Soft && spec != Swtpm && !filepath.IsAbs(spec) {
		return fmt.Errorf("%w: %q; want %q, %q or a path such as /dev/tpmrm0", ErrSpec, spec, Soft, Swtpm)
	}
	return nil
}

// Open opens the TPM that spec names. The first two keep their state in dir,
// which must exist:
//
//	soft             the software TPM in this process; a demonstration
//	swtpm            the swtpm program as a child process
//	/dev/tpmrm0      a character device, or a Unix socket of swtpm
//
// Errors wrap ErrSpec or ErrDead, or softtpm.ErrState.
func Open(spec, dir string) (*Device, error) {
	if err := Check(spec); err != nil {
		return nil, err
	}
	var d *Device
	var err error
	switch spec {
	case Soft:
		return openSoft(dir)
	case Swtpm:
		d, err = openSwtpm(dir)
	default:
		d, err = openPath(spec)
	}
	if err != nil {
		return nil, err
	}
	if d.Chain, err = readChain(d); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// SoftFile is where the state of the software TPM lies.
const SoftFile = "softtpm"

func openSoft(dir string) (*Device, error) {
	path := filepath.Join(dir, SoftFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	keep := func(b []byte) error { return write(path, b) }
	tpm, err := softtpm.Start(raw, keep)
	if old, ok := before(raw); ok {
		tpm, err = softtpm.StartSeeded(old, keep)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return NewSoft(tpm)
}

// before reads what a file held before the software TPM kept a state: its seed
// and a count of starts.
func before(raw []byte) (c softtpm.Config, ok bool) {
	if len(raw) != len(c.Seed)+4 {
		return c, false
	}
	return softtpm.Config{Seed: [32]byte(raw), ResetCount: binary.BigEndian.Uint32(raw[len(c.Seed):])}, true
}

// NewSoft makes a device of a software TPM that somebody else started.
func NewSoft(tpm *softtpm.TPM) (*Device, error) {
	d := &Device{TPM: tpm, Kind: Soft}
	var err error
	d.Chain, err = readChain(d)
	return d, err
}

// write replaces a private file so that a power cut leaves the old one or the
// new one.
func write(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tpm-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when it was renamed
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
