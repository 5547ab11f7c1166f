package server

import (
	"fmt"
	"path/filepath"

	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest/bootlog"
	"cipherdeck/attest/channel"
	"cipherdeck/attest/device"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/secmem"
)

// attestable measures what is about to run and prepares to answer challenges,
// in this order: the manifest is read, PCR 14 is extended and its log closed,
// and only afterwards does anything listen. Core dumps are off before any of
// it.
func (s *Server) attestable(o Options) (err error) {
	if err := secmem.Harden(); err != nil {
		s.log.Warn("core dumps are on", "err", err)
	}
	if s.manifest, err = loadManifest(o.DataDir, s.now(), s.log); err != nil {
		return err
	}
	if s.manifest == nil {
		s.log.Warn("there is no manifest: clients that attest will refuse", "file", filepath.Join(o.DataDir, ManifestFile))
	}
	m := channel.Machine{TPM: o.TPM, SPKI: s.pin, Manifest: s.manifest, JobKey: []byte{}}
	if o.TPM == nil {
		if s.device, err = openTPM(s.cfg, o.DataDir); err != nil {
			return err
		}
		m.TPM = s.device
		if err := s.logs(&m); err != nil {
			return err
		}
	}
	if m.Log, err = measure(m.TPM, s.cfg, s.manifest, s.pin, nil); err != nil {
		return err
	}
	if s.ak, err = tpm2.NewAK(m.TPM); err != nil {
		return err
	}
	m.AK = s.ak
	if s.device != nil && len(s.device.Chain) > 0 {
		if m.EK, err = endorsed(m.TPM, s.device.Chain[0]); err != nil {
			return err
		}
		m.EKChain, s.ek = s.device.Chain, m.EK
	}
	s.responder = channel.NewResponder(m)
	return nil
}

// endorsed makes the endorsement key that a certificate is for.
func endorsed(tpm transport.TPM, cert []byte) (*tpm2.EK, error) {
	spki, err := channel.SubjectKey(cert)
	if err != nil {
		return nil, fmt.Errorf("certificate in the TPM: %w", err)
	}
	return tpm2.NewEK(tpm, spki)
}

// logs reads what the firmware measured, where it did. The kernel's list of files
// grows while the server runs, so it would not replay to a later quote: it is
// not sent.
func (s *Server) logs(m *channel.Machine) (err error) {
	if s.device.Kind == device.Soft && s.cfg.FirmwareLog == "" {
		return nil // nothing but we extended it
	}
	if m.Firmware, err = bootlog.Read(s.cfg.FirmwareLog); err != nil {
		return fmt.Errorf("firmware_log: %w", err)
	}
	return nil
}
