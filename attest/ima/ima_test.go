package ima

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"cipherdeck/attest"
)

func field(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// measured is an entry of template ima-ng, as the kernel writes it.
func measured(path, content string) []byte {
	d := sha256.Sum256([]byte(content))
	data := append(field(append([]byte("sha256:\x00"), d[:]...)), field([]byte(path+"\x00"))...)
	return whole("ima-ng", data)
}

func whole(template string, data []byte) []byte {
	h := sha1.Sum(data)
	out := append(binary.LittleEndian.AppendUint32(nil, PCR), h[:]...)
	return append(append(out, field([]byte(template))...), field(data)...)
}

func list() []byte {
	return append(measured("/usr/bin/cipherdeck", "program"), measured("/etc/passwd\x1b[31m", "users")...)
}

func TestExplain(t *testing.T) {
	raw := list()
	events, value, err := Explain(raw, attest.SHA256)
	if err != nil || len(events) != 2 {
		t.Fatalf("%+v, %v", events, err)
	}
	if !strings.HasPrefix(events[0].Text, "/usr/bin/cipherdeck sha256:") || strings.Contains(events[1].Text, "\x1b") {
		t.Errorf("%+v", events)
	}
	// By hand: the hash of each entry's data, extended.
	want := make([]byte, 32)
	for _, p := range [][2]string{{"/usr/bin/cipherdeck", "program"}, {"/etc/passwd\x1b[31m", "users"}} {
		e := measured(p[0], p[1])
		data := e[4+20+4+len("ima-ng")+4:]
		d := sha256.Sum256(data)
		h := sha256.Sum256(append(want, d[:]...))
		want = h[:]
	}
	if !bytes.Equal(value, want) {
		t.Fatalf("%x, want %x", value, want)
	}
	if _, value, err := Explain(nil, attest.SHA384); err != nil || len(value) != 48 {
		t.Fatalf("empty: %x, %v", value, err)
	}
}

func TestViolation(t *testing.T) {
	raw := whole("ima-ng", []byte("whatever"))
	clear(raw[4:24])
	events, value, err := Explain(raw, attest.SHA256)
	want := sha256.Sum256(append(make([]byte, 32), bytes.Repeat([]byte{0xFF}, 32)...))
	if err != nil || len(events) != 1 || !strings.Contains(events[0].Text, "violation") || !bytes.Equal(value, want[:]) {
		t.Fatalf("%+v, %x, %v", events, value, err)
	}
}

func TestListsRefused(t *testing.T) {
	change := func(i int, b byte) []byte { raw := list(); raw[i] ^= b; return raw }
	for name, raw := range map[string][]byte{
		"other register":    change(0, 1),
		"digest":            change(5, 1),
		"data":              change(len(list())-2, 1),
		"truncated":         list()[:len(list())-1],
		"huge name":         append(list()[:24:24], 0xFF, 0xFF, 0xFF, 0xFF),
		"unknown template":  whole("ima-what", []byte("x")),
		"fields missing":    whole("ima-ng", []byte("x")),
		"too large":         make([]byte, MaxBytes+1),
		"legacy, SHA-1 one": whole("ima", make([]byte, 40)),
	} {
		if _, _, err := Explain(raw, attest.SHA256); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzIMA(f *testing.F) {
	f.Add(list())
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, value, err := Explain(raw, attest.SHA256)
		if err == nil && (len(value) != 32 || len(events) == 0 != (len(raw) == 0)) {
			t.Fatalf("%d events, %x", len(events), value)
		}
	})
}
