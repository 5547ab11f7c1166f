package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cipherdeck/crypto/doc"
	"cipherdeck/vault"
	"cipherdeck/vault/pkcs11/wire"
)

func TestMissingHelper(t *testing.T) {
	_, err := ask(t.Context(), filepath.Join(t.TempDir(), program), wire.Request{}, nil)
	if !errors.Is(err, ErrNoHelper) {
		t.Error(err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := ask(t.Context(), "", wire.Request{}, nil); !errors.Is(err, ErrNoHelper) {
		t.Error(err)
	}
	if _, err := ask(t.Context(), t.TempDir(), wire.Request{}, nil); !errors.Is(err, ErrNoHelper) {
		t.Errorf("a directory: %v", err)
	}
	script := fake(t, `exit 1`, wire.Reply{}, nil)
	t.Setenv("PATH", filepath.Dir(script))
	if err := os.Rename(script, filepath.Join(filepath.Dir(script), program)); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), "", wire.Request{}, nil); !errors.Is(err, ErrHelper) {
		t.Errorf("in the PATH: %v", err)
	}
}

// Built as the rest of cipherdeck is, the program says why it cannot help.
func TestHelperWithoutCgo(t *testing.T) {
	path := filepath.Join(t.TempDir(), program)
	cmd := exec.Command("go", "build", "-o", path, "./"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := ask(t.Context(), path, wire.Request{Op: wire.List}, nil); !errors.Is(err, ErrNoHelper) || !strings.Contains(err.Error(), "make pkcs11") {
		t.Error(err)
	}
}

func TestMisbehavingHelpers(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		reply  wire.Reply
		secret []byte
	}{
		"silent":             {script: `cat >/dev/null`},
		"deaf":               {script: `exit 0`},
		"dies":               {script: `kill -9 $$`},
		"cut":                {script: `head -c 9 "$REPLY"`},
		"cut and fails":      {script: `head -c 9 "$REPLY"; exit 2`},
		"speaks of else":     {script: `echo "usage: helper"`},
		"floods":             {script: `exec cat /dev/zero`},
		"long body":          {script: `printf 'CDP11\001\377\377\377\377'; exec cat /dev/zero`},
		"long secret":        {script: `head -c $(($(wc -c <"$REPLY") - 2)) "$REPLY"; printf '\377\377'; exec cat /dev/zero`},
		"goes on":            {script: `cat "$REPLY" /dev/zero`},
		"another version":    {script: `printf 'CDP11\002'; tail -c +7 "$REPLY"`},
		"not CBOR":           {script: `printf 'CDP11\001\000\000\000\001\377\000\000'`},
		"unknown code":       {script: `cat "$REPLY"`, reply: wire.Reply{Code: 99, Text: "\x1b[2J"}},
		"secret not due":     {script: `cat "$REPLY"`, secret: []byte{1}},
		"did not understand": {script: `cat "$REPLY"`, reply: wire.Reply{Code: wire.Bad, Text: "?"}},
	} {
		_, err := ask(t.Context(), fake(t, c.script, c.reply, c.secret), wire.Request{Op: wire.Find}, pin)
		if !errors.Is(err, ErrHelper) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ask(t.Context(), fake(t, `cat "$REPLY"`, wire.Reply{}, nil), wire.Request{Op: wire.Decrypt}, pin); !errors.Is(err, ErrHelper) {
		t.Errorf("no secret: %v", err)
	}
}

// Also if its children hold the pipes.
func TestHangingHelperEnds(t *testing.T) {
	for _, script := range []string{`exec sleep 600`, `sleep 5 & echo >"$DIR/fifo"; wait`, `cat "$REPLY"; sleep 5 & echo >"$DIR/fifo"; wait`} {
		path := fake(t, script, wire.Reply{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		if strings.Contains(script, "fifo") {
			there := fifo(t, filepath.Dir(path))
			go func() { _, _ = os.ReadFile(there); cancel() }() // when it is there
		} else {
			cancel()
		}
		go func() {
			_, err := ask(ctx, path, wire.Request{Op: wire.List}, pin)
			done <- err
		}()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// The PIN goes over the pipe and nowhere else; nor does our environment.
func TestWhatTheHelperGets(t *testing.T) {
	t.Setenv("CIPHERDECK_PASSPHRASE", "must not be passed on")
	t.Setenv("SOFTHSM2_CONF", "/etc/softhsm2.conf")
	path := fake(t, `cat >"$DIR/stdin"; env >"$DIR/env"; echo "$# $*" >"$DIR/args"; cat "$REPLY"`, wire.Reply{}, nil)
	q := wire.Request{Op: wire.Find, Module: "/lib.so", Token: "t", Serial: "s", Key: "k", KeyID: []byte{1}, Public: []byte{2}, Hash: wire.SHA1, Wrapped: []byte{3}}
	if _, err := ask(t.Context(), path, q, pin); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if got := read("args"); string(got) != "0 \n" {
		t.Errorf("arguments %q", got)
	}
	env := read("env")
	if bytes.Contains(env, []byte("CIPHERDECK")) || bytes.Contains(env, pin) {
		t.Error("the environment has what is not for the helper")
	}
	if !bytes.Contains(env, []byte("SOFTHSM2_CONF=/etc/softhsm2.conf\n")) {
		t.Error("the environment lacks SOFTHSM2_CONF")
	}
	var got wire.Request
	p, err := wire.Read(bytes.NewReader(read("stdin")), &got)
	if err != nil || !bytes.Equal(p, pin) {
		t.Fatal(err)
	}
	a, _ := doc.Encode(got)
	b, _ := doc.Encode(q)
	if !bytes.Equal(a, b) {
		t.Errorf("%+v", got)
	}
}

func TestReplies(t *testing.T) {
	for code, want := range map[wire.Code]error{
		wire.NoModule: ErrModule, wire.NoToken: ErrNoToken, wire.OtherToken: ErrOther, wire.OtherKey: ErrOther, wire.NoKey: ErrNoKey,
		wire.Choose: ErrChoose, wire.Exists: ErrExists, wire.WrongPIN: ErrPIN, wire.Locked: ErrLocked, wire.Refused: ErrRefused,
		wire.Failed: ErrToken, wire.Bad: ErrHelper, wire.NoCgo: ErrNoHelper,
	} {
		path := fake(t, `cat "$REPLY"`, wire.Reply{Code: code, Text: "a\x1b]0;b\x07\n" + strings.Repeat("c", 1000)}, nil)
		_, err := ask(t.Context(), path, wire.Request{Op: wire.Find}, nil)
		if !errors.Is(err, want) || strings.ContainsAny(err.Error(), "\x1b\x07\n") || len(err.Error()) > 400 {
			t.Errorf("code %d: %v", code, err)
		}
	}
}

// What a helper may say of tokens that cannot be.
func TestStrangeTokens(t *testing.T) {
	o := Options{Module: "/lib.so"}
	for name, tokens := range map[string][]wire.Token{
		"none": nil, "two": {{}, {}}, "no key": {{}}, "two keys": {{Keys: []wire.Key{{}, {}}}},
		"key that is none": {{Keys: []wire.Key{{Public: []byte("x")}}}},
		"long id":          {{Keys: []wire.Key{{ID: make([]byte, maxKeyID+1)}}}},
	} {
		o.Helper = fake(t, `cat "$REPLY"`, wire.Reply{Tokens: tokens}, nil)
		if _, err := enrol(t.Context(), o, pin, make([]byte, 32)); !errors.Is(err, ErrHelper) {
			t.Errorf("%s: %v", name, err)
		}
		list, err := List(t.Context(), o)
		if err != nil || len(list) != len(tokens) {
			t.Errorf("%s, list: %+v %v", name, list, err)
		}
	}
}

func TestDamagedData(t *testing.T) {
	good := wrapped{Version: 1, Module: "/lib.so", Public: make([]byte, 32), Hash: wire.SHA256, Sealed: make([]byte, 256)}
	change := func(f func(*wrapped)) []byte {
		w := good
		f(&w)
		b, err := doc.Encode(w)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, err := parse(change(func(*wrapped) {})); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"not CBOR": {0xff}, "empty map": {0xa0}, "zero": {0},
		"version":   change(func(w *wrapped) { w.Version = 2 }),
		"hash":      change(func(w *wrapped) { w.Hash = 3 }),
		"public":    change(func(w *wrapped) { w.Public = w.Public[1:] }),
		"sealed":    change(func(w *wrapped) { w.Sealed = w.Sealed[1:] }),
		"long id":   change(func(w *wrapped) { w.KeyID = make([]byte, maxKeyID+1) }),
		"no module": change(func(w *wrapped) { w.Module = "" }),
		"relative":  change(func(w *wrapped) { w.Module = "../lib.so" }),
		"escapes":   change(func(w *wrapped) { w.Token = "\x1b[2J" }),
	} {
		v := create(t, vault.DeviceSlot(vault.SlotPKCS11, "x", func(context.Context, []byte) ([]byte, error) { return data, nil }))
		if err := open(t.Context(), v, Unlocker(Options{}, pin)); !errors.Is(err, ErrData) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
