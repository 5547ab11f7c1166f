// Package host makes the machine that we run on one that can attest: it opens
// the TPM, measures what is about to run, closes the log and loads the keys that
// answers are signed with, in this order. Servers and nodes differ in what they
// measure and in how they are asked; how they come to be able to answer is the
// same.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest/bootlog"
	"cipherdeck/attest/channel"
	"cipherdeck/attest/device"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/self"
	"cipherdeck/attest/tpm2"
)

// ManifestFile is the name of the signed manifest in a machine's own folder.
const ManifestFile = "manifest.bin"

// Spec says with which TPM a machine attests, and where things lie.
type Spec struct {
	TPM         string // as device.Open takes it; "": device.Soft
	Dir         string // state of a TPM that is no chip
	FirmwareLog string // file with the firmware's event log; "": the kernel's, with a TPM of the machine

	Open transport.TPM // one that somebody else opened and closes; nil: TPM is opened
}

// Host is a machine that measured itself.
type Host struct {
	channel.Machine
	Kind   string         // of its TPM: "device", "swtpm" or "soft"; "" when it is somebody else's
	device *device.Device // nil when it is somebody else's
}

// Open opens the TPM, extends PCR 14 with events and closes the log. Nothing
// must listen or ask for work before it has returned. Errors wrap
// device.ErrSpec, device.ErrDead or softtpm.ErrState, or are of files.
func Open(s Spec, signed []byte, events ...self.Event) (*Host, error) {
	h := &Host{Machine: channel.Machine{TPM: s.Open, Manifest: signed, JobKey: []byte{}}}
	if s.Open == nil {
		if s.TPM == "" {
			s.TPM = device.Soft
		}
		d, err := device.Open(s.TPM, s.Dir)
		if err != nil {
			return nil, fmt.Errorf("tpm: %w", err)
		}
		h.TPM, h.device, h.Kind = d, d, d.Kind
	}
	if err := h.prepare(s, events); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *Host) prepare(s Spec, events []self.Event) (err error) {
	if h.Firmware, err = h.firmware(s.FirmwareLog); err != nil {
		return err
	}
	if h.Log, err = self.Measure(h.TPM, events...); err != nil {
		return err
	}
	if h.AK, err = tpm2.NewAK(h.TPM); err != nil {
		return err
	}
	if h.device == nil || len(h.device.Chain) == 0 {
		return nil
	}
	h.EKChain = h.device.Chain
	h.EK, err = endorsed(h.TPM, h.EKChain[0])
	return err
}

// firmware is what the firmware measured, where it did. The kernel's list of
// files grows while the machine runs, so it would not replay to a later quote: it
// is not sent.
func (h *Host) firmware(path string) ([]byte, error) {
	if path == "" && (h.device == nil || h.Kind == device.Soft) {
		return nil, nil // nothing but we extended it
	}
	log, err := bootlog.Read(path)
	if err != nil {
		return nil, fmt.Errorf("firmware_log: %w", err)
	}
	return log, nil
}

// endorsed makes the endorsement key that a certificate is for.
func endorsed(tpm transport.TPM, cert []byte) (*tpm2.EK, error) {
	spki, err := channel.SubjectKey(cert)
	if err != nil {
		return nil, fmt.Errorf("certificate in the TPM: %w", err)
	}
	return tpm2.NewEK(tpm, spki)
}

// Close unloads the keys and closes the TPM that Open opened.
func (h *Host) Close() (err error) {
	if h.AK != nil {
		err = h.AK.Close()
	}
	if h.EK != nil {
		err = errors.Join(err, h.EK.Close())
	}
	if h.device != nil {
		err = errors.Join(err, h.device.Close())
	}
	return err
}

// ReadManifest is the signed manifest in dir that goes into the evidence; nil
// when there is none. A bad one is shown all the same: clients refuse at its link
// and say why.
func ReadManifest(dir string, now time.Time, log *slog.Logger) ([]byte, error) {
	path := filepath.Join(dir, ManifestFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		log.Warn("there is no manifest: clients that attest will refuse", "file", path)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := manifest.Peek(raw)
	if err != nil {
		log.Warn("the manifest is not well formed: clients that attest will refuse", "file", path, "err", err)
		return raw, nil
	}
	if end := time.Unix(m.NotAfter, 0); !now.Before(end) {
		log.Warn("the manifest has ended: clients that attest will refuse", "file", path, "ended", end.UTC().Format(time.DateOnly))
	}
	return raw, nil
}
