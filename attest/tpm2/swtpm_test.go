//go:build linux

package tpm2

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	gotpm "github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"cipherdeck/attest"
	"cipherdeck/attest/softtpm"
)

// startSwtpm runs a real swtpm on a socket until the test ends, when it is
// told to shut down first: a TPM that just dies counts that as an attack.
func startSwtpm(t testing.TB) transport.TPM {
	t.Helper()
	path, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: swtpm is not installed (package swtpm)")
	}
	dir, err := os.MkdirTemp("", "swtpm") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sock := filepath.Join(dir, "s")
	cmd := exec.Command(path, "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+sock, "--ctrl", "type=unixio,path="+filepath.Join(dir, "c"),
		"--flags", "not-need-init,startup-clear")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	waitFor(t, sock, exited)
	tpm, err := linuxudstpm.Open(sock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := (gotpm.Shutdown{ShutdownType: gotpm.TPMSUClear}).Execute(tpm); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		_ = tpm.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-exited
	})
	return tpm
}

// waitFor returns when swtpm answers on sock.
func waitFor(t testing.TB, sock string, exited <-chan error) {
	t.Helper()
	for {
		select {
		case err := <-exited:
			t.Fatalf("swtpm exited: %v", err)
		case <-t.Context().Done():
			t.Fatal("swtpm never listened")
		case <-time.After(time.Millisecond):
		}
		if c, err := net.Dial("unix", sock); err == nil {
			_ = c.Close()
			return
		}
	}
}

// The same attesting and verifying code against a TPM that is not ours.
func TestSwtpm(t *testing.T) {
	tpm := startSwtpm(t)
	ak := verifyMeasured(t, tpm)
	if err := ak.Close(); err != nil {
		t.Fatal(err)
	}
}

// swtpm and our TPM agree on everything a client can compare: the same
// extends give the same PCRs and the same PCR digest.
func TestSwtpmAgreesWithOurs(t *testing.T) {
	theirs, _, _ := measured(t, startSwtpm(t))
	ours, _, _ := measured(t, softtpm.New(softtpm.Config{}))
	a, err := ParseQuote(theirs.Quote)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseQuote(ours.Quote)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Digest, b.Digest) || a.Select != b.Select || !bytes.Equal(a.Bind, b.Bind) {
		t.Fatalf("quotes differ:\n%+v\n%+v", a, b)
	}
	if len(theirs.Quote) != len(ours.Quote) || len(theirs.AK) != len(ours.AK) {
		t.Fatalf("lengths differ: quote %d and %d, AK %d and %d", len(theirs.Quote), len(ours.Quote), len(theirs.AK), len(ours.AK))
	}
}

// tpm2_checkquote accepts what our TPM signs, and refuses it with another
// nonce.
func TestCheckquoteAcceptsOurs(t *testing.T) {
	path, err := exec.LookPath("tpm2_checkquote")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: tpm2_checkquote is not installed (package tpm2-tools)")
	}
	e, x, _ := measured(t, softtpm.New(softtpm.Config{}))
	args := checkquoteFiles(t, e)
	check := func(nonce []byte) ([]byte, error) {
		return exec.Command(path, append(args, "-q", hex.EncodeToString(nonce))...).CombinedOutput()
	}
	if out, err := check(x.Bind); err != nil {
		t.Fatalf("tpm2_checkquote: %v\n%s", err, out)
	}
	other := sum("other")
	if out, err := check(other[:]); err == nil {
		t.Fatalf("tpm2_checkquote accepts another nonce:\n%s", out)
	}
}

func checkquoteFiles(t *testing.T, e attest.Evidence) []string {
	t.Helper()
	ak, err := ParseAK(e.AK)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(ak.Key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	return []string{
		"-u", write("ak.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"-m", write("quote", e.Quote), "-s", write("sig", e.Signature), "-g", "sha256",
	}
}
