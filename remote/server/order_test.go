package server_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest/device"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// watching is a TPM that looks, at each command, whether anything listens yet.
type watching struct {
	transport.TPM
	t        *testing.T
	addr     string
	commands int
}

func (w *watching) Send(in []byte) ([]byte, error) {
	w.commands++
	if c, err := net.Dial("tcp", w.addr); err == nil {
		w.t.Errorf("command %d: the server listens before it has measured itself", w.commands)
		_ = c.Close()
	}
	return w.TPM.Send(in)
}

// freeAddr is an address that nothing listens at.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A server measures itself whole, closes its log, and only then listens. One that
// cannot measure itself listens never.
func TestMeasuredBeforeItListens(t *testing.T) {
	cfg := rt.Config(t.TempDir())
	cfg.Listen = freeAddr(t)
	d, err := device.Open(device.Soft, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	w := &watching{TPM: d, t: t, addr: cfg.Listen}
	srv := rt.Start(t, server.Options{Config: cfg, TPM: w})
	if w.commands < 6 { // five events, the closing one, the key
		t.Errorf("measured with %d commands", w.commands)
	}
	w.addr = freeAddr(t) // it may listen from now on
	c, err := net.Dial("tcp", srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()

	bad := rt.Config(t.TempDir())
	bad.Listen, bad.TPM = freeAddr(t), filepath.Join(t.TempDir(), "tpm")
	if s, err := server.Start(t.Context(), server.Options{Config: bad}); err == nil {
		_ = s.Close()
		t.Fatal("it starts without a TPM")
	}
	if c, err := net.Dial("tcp", bad.Listen); err == nil {
		_ = c.Close()
		t.Error("it listens without having measured itself")
	}
}
