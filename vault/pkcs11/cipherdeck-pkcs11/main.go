//go:build cgo && unix

// Command cipherdeck-pkcs11 asks a PKCS#11 token for one thing and ends. It is
// run by package vault/pkcs11, not by people: the request comes on standard
// input, the reply goes to standard output (package wire).
//
// It is a program of its own because the token's library is C of its vendor. It
// needs cgo, which nothing else here does; it can crash, hang or write where it
// should not; and it would stand in the memory in which the open vault lies. Here
// it meets the PIN and the one secret that it opens, for the time of one
// operation, in a process that others of the same user cannot read (Linux).
//
// What it does not do. The PIN passes through a string and through C's heap,
// neither of which can be overwritten; both end with the process. The library is
// trusted with the PIN and with the user's rights.
package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"cipherdeck/crypto/secmem"
	"cipherdeck/vault/pkcs11/wire"
)

// longest is when it gives up, should the library hang and the parent be gone.
const longest = 15 * time.Minute

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cipherdeck-pkcs11:", err)
		os.Exit(1)
	}
}

func run() error {
	// What cannot be hidden is not fatal: on some systems there is no way.
	if err := secmem.Harden(); err != nil {
		fmt.Fprintln(os.Stderr, "cipherdeck-pkcs11:", err)
	}
	time.AfterFunc(longest, func() { os.Exit(3) })
	out, err := takeOutput()
	if err != nil {
		return err
	}
	var q wire.Request
	pin, err := wire.Read(os.Stdin, &q)
	if err != nil {
		return wire.Write(out, wire.Reply{Code: wire.Bad, Text: wire.Plain(err.Error())}, nil)
	}
	defer clear(pin)
	reply, secret, err := do(q, pin)
	defer clear(secret)
	if err != nil {
		reply = replyOf(err)
	}
	return wire.Write(out, reply, secret)
}

// takeOutput keeps standard output for the reply: a library that prints writes
// to standard error from now on.
func takeOutput() (*os.File, error) {
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("keep standard output: %w", err)
	}
	if err := unix.Dup2(2, 1); err != nil {
		return nil, fmt.Errorf("turn standard output away: %w", err)
	}
	return os.NewFile(uintptr(fd), "reply"), nil
}

// do is the operation.
func do(q wire.Request, pin []byte) (wire.Reply, []byte, error) {
	m, err := load(q.Module)
	if err != nil {
		return wire.Reply{}, nil, err
	}
	defer m.end()
	if q.Op == wire.List {
		tokens, err := m.list()
		return wire.Reply{Tokens: tokens}, nil, err
	}
	t, err := m.choose(q)
	if err != nil {
		return wire.Reply{}, nil, err
	}
	defer t.end()
	switch q.Op {
	case wire.Find, wire.Make:
		k, err := t.find(q, pin)
		if err != nil {
			return wire.Reply{}, nil, err
		}
		t.Keys = []wire.Key{k.Key}
		return wire.Reply{Tokens: []wire.Token{t.Token}}, nil, nil
	case wire.Decrypt:
		secret, err := t.decrypt(q, pin)
		return wire.Reply{}, secret, err
	}
	return wire.Reply{}, nil, fail(wire.Bad, "operation %d", q.Op)
}
