package server

import (
	"cipherdeck/attest/channel"
	"cipherdeck/attest/host"
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
	if s.manifest, err = host.ReadManifest(o.DataDir, s.now(), s.log); err != nil {
		return err
	}
	events, err := measured(s.cfg, s.manifest, s.pin)
	if err != nil {
		return err
	}
	spec := host.Spec{TPM: s.cfg.TPM, Dir: o.DataDir, FirmwareLog: s.cfg.FirmwareLog, Open: o.TPM}
	if s.host, err = host.Open(spec, s.manifest, events...); err != nil {
		return err
	}
	m := s.host.Machine
	m.SPKI = s.pin
	s.responder = channel.NewResponder(m)
	return nil
}
