// Package ipfstest runs a real IPFS daemon for tests. It is imported by tests only.
package ipfstest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Daemon is a real IPFS daemon, offline.
type Daemon struct{ program, Repo, Endpoint string }

// New starts a daemon, or skips the test when there is none to start.
func New(t *testing.T) *Daemon {
	t.Helper()
	program := os.Getenv("CIPHERDECK_KUBO")
	if program == "" {
		t.Skip("SKIPPED, NOT TESTED: the IPFS back end against a real daemon: CIPHERDECK_KUBO is not set (make test-full builds it)")
	}
	d := &Daemon{program: program, Repo: t.TempDir()}
	d.Run(t, "init", "--profile", "test")
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "daemon", "--offline")
	cmd.Env = append(os.Environ(), "IPFS_PATH="+d.Repo)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("kubo: %s", out.String())
		}
	})
	for over := time.After(time.Minute); ; {
		addr, err := os.ReadFile(filepath.Join(d.Repo, "api"))
		if part := strings.Split(string(addr), "/"); err == nil && len(part) == 5 { // /ip4/127.0.0.1/tcp/PORT
			d.Endpoint = "http://" + part[2] + ":" + part[4]
			return d
		}
		select {
		case <-ended:
			t.Fatalf("kubo ended: %s", out.String())
		case <-over:
			t.Fatal("kubo does not listen")
		case <-time.After(20 * time.Millisecond): // it has no other way to say so
		}
	}
}

// Run calls the program on the daemon's repository.
func (d *Daemon) Run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(d.program, args...)
	cmd.Env = append(os.Environ(), "IPFS_PATH="+d.Repo)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ipfs %v: %v\n%s", args, err, out)
	}
	return string(out)
}
