// Package s3test runs a real S3 server for tests. It is imported by tests only.
package s3test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Bucket is the bucket that the server has.
const Bucket = "cipherdeck-test"

// The server's one pair of keys.
const (
	Access = "test"
	Secret = "secret of the test"
)

// Gateway is a real S3 server over a directory.
type Gateway struct {
	Endpoint string
	Dir      string // in which each bucket is a folder
}

// New starts a server, or skips the test when there is none to start.
func New(t *testing.T) *Gateway {
	t.Helper()
	program := os.Getenv("CIPHERDECK_VERSITYGW")
	if program == "" {
		t.Skip("SKIPPED, NOT TESTED: blobs in a bucket, against a real S3 server: CIPHERDECK_VERSITYGW is not set (make test-full builds it)")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	g := &Gateway{Endpoint: "http://" + addr, Dir: filepath.Join(root, "data")}
	for _, dir := range []string{g.Dir, filepath.Join(root, "meta"), filepath.Join(g.Dir, Bucket)} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--port", addr, "--quiet", "posix", "--sidecar", filepath.Join(root, "meta"), g.Dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+Access, "ROOT_SECRET_KEY="+Secret)
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
			t.Logf("versitygw: %s", out.String())
		}
	})
	for over := time.After(time.Minute); ; {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return g
		}
		select {
		case <-ended:
			t.Fatalf("versitygw ended: %s", out.String())
		case <-over:
			t.Fatal("versitygw does not listen")
		case <-time.After(20 * time.Millisecond): // it has no other way to say so
		}
	}
}
