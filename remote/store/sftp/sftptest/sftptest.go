// Package sftptest runs the SFTP server of OpenSSH for tests, behind an SSH
// server of the test. It is imported by tests only.
package sftptest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// openssh is where Debian has OpenSSH's own SFTP server.
const openssh = "/usr/lib/openssh/sftp-server"

// User is whom the server lets in.
const User = "store"

// Server is an SSH server on loopback whose sftp subsystem is the real one.
type Server struct {
	Addr    string
	Dir     string // is not there yet
	KeyFile string // of User
	HostKey string // a line of authorized_keys

	mu    sync.Mutex
	conns []net.Conn
}

// New starts a server, or skips the test when there is no OpenSSH.
func New(t *testing.T) *Server {
	t.Helper()
	if _, err := os.Stat(openssh); err != nil {
		t.Skipf("SKIPPED: %s is missing: apt-get install openssh-sftp-server", openssh)
	}
	hostKey, hostLine, _ := NewKey(t)
	_, userLine, userFile := NewKey(t)
	conf := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if string(ssh.MarshalAuthorizedKey(k)) != userLine {
			return nil, errors.New("another key")
		}
		return nil, nil
	}}
	conf.AddHostKey(hostKey)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	r := &Server{Addr: ln.Addr().String(), Dir: filepath.Join(t.TempDir(), "blobs"), KeyFile: userFile, HostKey: hostLine}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			go serve(c, conf)
		}
	}()
	return r
}

// Cut breaks every connection.
func (r *Server) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
}

func serve(c net.Conn, conf *ssh.ServerConfig) {
	conn, chans, reqs, err := ssh.NewServerConn(c, conf)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(reqs)
	for ch := range chans {
		stream, reqs, err := ch.Accept()
		if err != nil {
			return
		}
		go func() {
			for q := range reqs {
				_ = q.Reply(q.Type == "subsystem", nil)
				if q.Type == "subsystem" {
					go func() {
						cmd := exec.Command(openssh)
						cmd.Stdin, cmd.Stdout = stream, stream
						_ = cmd.Run()
						_ = stream.Close()
					}()
				}
			}
		}()
	}
}

// NewKey makes a key: to sign with, as a line of authorized_keys, and in a file.
func NewKey(t *testing.T) (ssh.Signer, string, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return signer, string(ssh.MarshalAuthorizedKey(signer.PublicKey())), file
}
