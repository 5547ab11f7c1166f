package channel

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"cipherdeck/attest"
)

// client runs openssl s_client against addr.
func client(t *testing.T, addr string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: openssl is not installed (package openssl)")
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"s_client", "-connect", addr, "-brief"}, args...)...)
	cmd.Stdin = strings.NewReader("")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestOpenSSL: what another implementation of TLS sees of our server.
func TestOpenSSL(t *testing.T) {
	s := newServer(t).start(t)
	if out, err := client(t, s.addr, "-tls1_2"); err == nil {
		t.Errorf("TLS 1.2 was spoken:\n%s", out)
	}
	out, err := client(t, s.addr, "-tls1_3")
	if err != nil || !strings.Contains(out, "TLSv1.3") {
		t.Fatalf("TLS 1.3: %v\n%s", err, out)
	}
	t.Run("X25519MLKEM768", func(t *testing.T) {
		out, err := client(t, s.addr, "-tls1_3", "-groups", "X25519MLKEM768")
		if err != nil && (strings.Contains(out, "group") || strings.Contains(out, "Unknown") || strings.Contains(out, "invalid")) {
			t.Skipf("SKIPPED, NOT TESTED: this openssl knows no X25519MLKEM768 (3.5 does); Go's own client negotiates it in TestTLSConfigs")
		}
		if err != nil || !strings.Contains(out, "X25519MLKEM768") {
			t.Fatalf("%v\n%s", err, out)
		}
	})
}

// TestNobodyInBetween: somebody in the middle whose certificate a browser would
// believe, and who writes down all that he can read, reads nothing of ours.
func TestNobodyInBetween(t *testing.T) {
	s := newServer(t).start(t)
	his, err := NewCertificate(newKey(t), "deck.test")
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", ServerTLS(his))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var log bytes.Buffer
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c)
			mu.Lock()
			log.Write(b)
			mu.Unlock()
			_ = c.Close()
		}
	})
	const marker = "the marker that was planted"
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := Wrap(tls.Client(raw, ClientTLS(s.spki)), "deck")
	if _, err := c.Attest(t.Context(), s.policy); !errors.Is(err, ErrPin) {
		t.Fatalf("his key was taken: %v", err)
	}
	if n, err := c.Write([]byte(marker)); n != 0 || !errors.Is(err, attest.ErrNotAttested) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	_ = l.Close()
	done.Wait()
	if log.Len() != 0 || bytes.Contains(log.Bytes(), []byte(marker)) {
		t.Fatalf("he read %d bytes: %q", log.Len(), log.Bytes())
	}
}
