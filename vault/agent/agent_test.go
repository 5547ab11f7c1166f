//go:build linux || darwin

package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/vault"
	"cipherdeck/vault/private"
)

// clock is wall time that a test moves.
type clock struct{ sec atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(c.sec.Load(), 0) }

func short(t testing.TB) string {
	t.Helper()
	d, err := os.MkdirTemp("", "agent") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(d) })
	return d
}

// start runs an agent until the test ends.
func start(t testing.TB, cfg Config) (*Agent, Client) {
	t.Helper()
	if cfg.Socket == "" {
		cfg.Socket = filepath.Join(short(t), "a")
	}
	if cfg.Sleep == nil {
		cfg.Sleep = func(context.Context, func()) error { return nil }
	}
	a, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return a, Client{Socket: cfg.Socket, Purpose: "a test"}
}

// ring is a keyring in memory.
type ring struct{ secret []byte }

func (r *ring) Get(context.Context) ([]byte, error) {
	if r.secret == nil {
		return nil, vault.ErrKeyringMissing
	}
	return append([]byte(nil), r.secret...), nil
}
func (r *ring) Set(_ context.Context, b []byte) error {
	r.secret = append([]byte(nil), b...)
	return nil
}
func (r *ring) Delete(context.Context) error { r.secret = nil; return nil }

func someVault(t testing.TB) (*vault.Vault, *ring) {
	t.Helper()
	k := &ring{}
	v, err := vault.Create(filepath.Join(short(t), "vault"), vault.State{Account: vault.Account{Name: "ana"}}, vault.KeyringSlot(k))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v, k
}

// opens opens v's file through the agent.
func opens(t testing.TB, c Client, v *vault.Vault) error {
	t.Helper()
	u, err := c.Get(t.Context())
	if err != nil {
		return err
	}
	again, err := vault.Open(t.Context(), v.Path(), u)
	if err != nil {
		return err
	}
	defer again.Close()
	name := ""
	again.View(func(s vault.State) { name = s.Account.Name })
	if name != "ana" {
		t.Errorf("another vault: %q", name)
	}
	return nil
}

func TestOneUnlockServesLater(t *testing.T) {
	_, c := start(t, Config{})
	v, k := someVault(t)
	other, _ := someVault(t)
	if err := opens(t, c, v); !errors.Is(err, ErrNotHeld) {
		t.Fatalf("before: %v", err)
	}
	if err := c.Put(t.Context(), v, time.Hour, 0, false); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := opens(t, c, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := opens(t, c, other); !errors.Is(err, ErrNotHeld) {
		t.Errorf("another vault: %v", err)
	}
	held, err := c.Status(t.Context())
	if err != nil || len(held) != 1 || held[0].Vault != v.ID() || held[0].Confirm {
		t.Fatalf("%+v %v", held, err)
	}
	if _, err := v.RotateKey(t.Context(), nil, vault.FromKeyring(k)); err != nil {
		t.Fatal(err)
	}
	if err := opens(t, c, v); !errors.Is(err, vault.ErrRotated) {
		t.Errorf("after a rotation: %v", err)
	}
	if err := c.Lock(t.Context(), other.ID()); err != nil {
		t.Fatal(err)
	}
	if held, _ := c.Status(t.Context()); len(held) != 1 {
		t.Error("locking another vault locked this one")
	}
	if err := c.Lock(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := opens(t, c, v); !errors.Is(err, ErrNotHeld) {
		t.Errorf("after lock: %v", err)
	}
	v.Close()
	if err := c.Put(t.Context(), v, time.Hour, 0, false); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("a closed vault: %v", err)
	}
}

// gone tells whether the agent's copy of a key is overwritten.
func gone(h *held) (wiped bool) {
	h.key.Use(func(b []byte) { wiped = b == nil })
	return wiped
}

func (a *Agent) only(t *testing.T) *held {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.keys {
		return h
	}
	t.Fatal("the agent holds nothing")
	return nil
}

func TestKeysEnd(t *testing.T) {
	now := &clock{}
	now.sec.Store(1000)
	a, c := start(t, Config{Now: now.now})
	v, _ := someVault(t)
	put := func(life, idle time.Duration) *held {
		t.Helper()
		if err := c.Put(t.Context(), v, life, idle, false); err != nil {
			t.Fatal(err)
		}
		return a.only(t)
	}
	check := func(name string, h *held, at int64, want error) {
		t.Helper()
		now.sec.Store(at)
		if err := opens(t, c, v); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if gone(h) != (want != nil) {
			t.Errorf("%s: wiped: %v", name, gone(h))
		}
	}
	h := put(100*time.Second, 0)
	check("within its life", h, 1099, nil)
	check("after its life", h, 1100, ErrNotHeld)
	h = put(100*time.Second, 30*time.Second) // at 1100
	check("used in time", h, 1129, nil)
	check("used in time again", h, 1158, nil)
	check("idle", h, 1188, ErrNotHeld)
	h = put(100*time.Second, 90*time.Second)
	check("used", h, 1270, nil)
	check("use does not lengthen life", h, 1288, ErrNotHeld)
	h = put(100*time.Second, 0)
	check("clock set back", h, 1000, ErrNotHeld)
	h = put(time.Hour, 0)
	second := put(time.Hour, 0)
	if !gone(h) || gone(second) {
		t.Error("a replaced key is not wiped")
	}
	a.Lock()
	if !gone(second) {
		t.Error("a locked key is not wiped")
	}
}

// The timer does it too, when nobody asks.
func TestSweepByItself(t *testing.T) {
	now := &clock{}
	now.sec.Store(1000)
	a, c := start(t, Config{Now: now.now})
	v, _ := someVault(t)
	if err := c.Put(t.Context(), v, 100*time.Second, 20*time.Second, false); err != nil {
		t.Fatal(err)
	}
	h := a.only(t)
	if next := a.sweep(); next != 20*time.Second {
		t.Errorf("next look in %v", next)
	}
	now.sec.Store(1020)
	if next := a.sweep(); next != longestNap || !gone(h) {
		t.Errorf("next look in %v, wiped: %v", next, gone(h))
	}
}

func TestHangUpLocks(t *testing.T) {
	a, c := start(t, Config{})
	v, _ := someVault(t)
	if err := c.Put(t.Context(), v, time.Hour, 0, false); err != nil {
		t.Fatal(err)
	}
	h := a.only(t)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for !gone(h) && t.Context().Err() == nil {
		runtime.Gosched()
	}
}

func TestSleepLocksAndEndWipes(t *testing.T) {
	sleep := make(chan func(), 1)
	cfg := Config{Socket: filepath.Join(short(t), "a"), Sleep: func(_ context.Context, lock func()) error { sleep <- lock; return nil }}
	a, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Serve(ctx) }()
	c := Client{Socket: cfg.Socket}
	v, _ := someVault(t)
	if err := c.Put(t.Context(), v, time.Hour, 0, false); err != nil {
		t.Fatal(err)
	}
	h := a.only(t)
	(<-sleep)()
	if !gone(h) {
		t.Error("sleep does not lock")
	}
	if err := c.Put(t.Context(), v, time.Hour, 0, false); err != nil {
		t.Fatal(err)
	}
	h = a.only(t)
	cancel()
	if err := <-done; err != nil || !gone(h) {
		t.Fatalf("%v, wiped: %v", err, gone(h))
	}
	if _, err := os.Lstat(cfg.Socket); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the socket is still there")
	}
	if err := opens(t, c, v); !errors.Is(err, ErrNoAgent) {
		t.Errorf("no agent: %v", err)
	}
}

func TestConfirm(t *testing.T) {
	var mu sync.Mutex
	var asked []Use
	answer := errors.New("no")
	var during func()
	_, c := start(t, Config{Confirm: func(_ context.Context, u Use) error {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, u)
		if during != nil {
			during()
		}
		return answer
	}})
	v, _ := someVault(t)
	if err := c.Put(t.Context(), v, time.Hour, 0, true); err != nil {
		t.Fatal(err)
	}
	c.Purpose = "seal\x1b[2J x"
	if err := opens(t, c, v); !errors.Is(err, ErrDenied) {
		t.Fatalf("refused: %v", err)
	}
	answer = nil
	if err := opens(t, c, v); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 || asked[0].Vault != v.ID() || asked[0].Purpose != "seal2J x" || runtime.GOOS == "linux" && asked[0].PID != os.Getpid() {
		t.Fatalf("%+v", asked)
	}
	// Locked while the question was on the screen: a yes comes too late.
	during = func() { (Client{Socket: c.Socket}).Lock(context.Background(), "") }
	if err := opens(t, c, v); !errors.Is(err, ErrNotHeld) {
		t.Errorf("locked meanwhile: %v", err)
	}
	_, mute := start(t, Config{})
	if err := mute.Put(t.Context(), v, time.Hour, 0, true); !errors.Is(err, ErrNoConfirm) {
		t.Errorf("nobody to ask: %v", err)
	}
}

func TestOneAgentForASocket(t *testing.T) {
	_, c := start(t, Config{})
	if _, err := Listen(Config{Socket: c.Socket}); !errors.Is(err, ErrRunning) {
		t.Fatal(err)
	}
	// What a killed agent left is replaced.
	stale := filepath.Join(short(t), "a")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	start(t, Config{Socket: stale})
}

func TestPermissions(t *testing.T) {
	_, c := start(t, Config{})
	fi, err := os.Stat(c.Socket)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("socket: %v %v", fi.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o755, 0o770, 0o711} {
		d := short(t)
		os.Chmod(d, mode)
		if _, err := Listen(Config{Socket: filepath.Join(d, "a")}); !errors.Is(err, private.ErrPermissions) {
			t.Errorf("directory %o: %v", mode, err)
		}
	}
	d := filepath.Dir(c.Socket)
	os.Chmod(d, 0o777)
	if _, err := c.Get(t.Context()); !errors.Is(err, private.ErrPermissions) {
		t.Errorf("a client in an open directory: %v", err)
	}
	os.Chmod(d, 0o700)
	file := filepath.Join(d, "file")
	os.WriteFile(file, nil, 0o600)
	for _, p := range []string{file, filepath.Join(d, "none")} {
		if _, err := (Client{Socket: p}).Get(t.Context()); !errors.Is(err, ErrNoAgent) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// raw sends bytes as they are and returns the code of the answer.
func raw(t *testing.T, socket string, b []byte) string {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(b)
	c.(*net.UnixConn).CloseWrite()
	var r reply
	if err := readFrame(c, &r); err != nil {
		return err.Error()
	}
	return r.Code
}

func TestHostileRequests(t *testing.T) {
	_, c := start(t, Config{})
	v, _ := someVault(t)
	if err := c.Put(t.Context(), v, time.Hour, 0, false); err != nil {
		t.Fatal(err)
	}
	frame := func(q request) []byte {
		b, err := doc.Encode(q)
		if err != nil {
			t.Fatal(err)
		}
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	}
	id := v.ID()
	key := make([]byte, keySize)
	good := frame(request{Version: 1, Op: opGet, Vault: id})
	if got := raw(t, c.Socket, good); got != "ok" {
		t.Fatal(got)
	}
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"cut":             good[:len(good)-1],
		"length bomb":     {0xff, 0xff, 0xff, 0xff},
		"above the limit": binary.BigEndian.AppendUint32(nil, maxFrame+1),
		"not CBOR":        {0, 0, 0, 1, 0xff},
		"empty":           {0, 0, 0, 0},
		"version":         frame(request{Version: 2, Op: opGet, Vault: id}),
		"operation":       frame(request{Version: 1, Op: "dump", Vault: id}),
		"no vault":        frame(request{Version: 1, Op: opGet}),
		"short vault":     frame(request{Version: 1, Op: opGet, Vault: id[:30]}),
		"get with key":    frame(request{Version: 1, Op: opGet, Vault: id, Key: key}),
		"put, short key":  frame(request{Version: 1, Op: opPut, Vault: id, Key: key[1:], Life: 1}),
		"put, no life":    frame(request{Version: 1, Op: opPut, Vault: id, Key: key}),
		"status of one":   frame(request{Version: 1, Op: opStatus, Vault: id}),
		"long purpose":    frame(request{Version: 1, Op: opGet, Vault: id, Purpose: strings.Repeat("x", 65)}),
	} {
		if got := raw(t, c.Socket, b); got != "protocol" {
			t.Errorf("%s: answer %q", name, got)
		}
	}
	if err := opens(t, c, v); err != nil {
		t.Errorf("after all that: %v", err)
	}
	for i := range maxHeld + 1 {
		want := "ok"
		if i >= maxHeld-1 {
			want = "full"
		}
		if got := raw(t, c.Socket, frame(request{Version: 1, Op: opPut, Vault: fmt.Sprintf("%032x", i), Key: key, Life: 9})); got != want {
			t.Errorf("key %d: %s, want %s", i, got, want)
		}
	}
}

// Clients that connect and say nothing take places, but not the agent's end.
func TestIdleConnectionsDoNotStopTheEnd(t *testing.T) {
	_, c := start(t, Config{})
	for range 4 {
		conn, err := net.Dial("unix", c.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A process of another user gets no answer, even when the file modes would let
// it in.
func TestOtherUserIsRefused(t *testing.T) {
	if socket := os.Getenv("CIPHERDECK_AGENT_TEST"); socket != "" {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		writeFrame(c, request{Version: 1, Op: opStatus})
		var r reply
		fmt.Printf("answer: %q\n", fmt.Sprint(readFrame(c, &r), r.Code))
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: only root can start a process of another user")
	}
	_, c := start(t, Config{})
	d := filepath.Dir(c.Socket)
	os.Chmod(d, 0o755)
	os.Chmod(c.Socket, 0o666)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(d, "test") // the original lies where others may not go
	if err := os.WriteFile(copied, text, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, "-test.run", "^TestOtherUserIsRefused$")
	cmd.Env, cmd.Dir = []string{"CIPHERDECK_AGENT_TEST=" + c.Socket}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "ok") && strings.Contains(string(out), `answer: "<nil>ok"`) || !strings.Contains(string(out), `answer: "`) {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "EOF") && !strings.Contains(string(out), "reset") {
		t.Fatalf("answered: %s", out)
	}
}

func BenchmarkOpenWithAgent(b *testing.B) {
	_, c := start(b, Config{})
	v, _ := someVault(b)
	if err := c.Put(b.Context(), v, time.Hour, 0, false); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := opens(b, c, v); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzRequest(f *testing.F) {
	good, err := doc.Encode(request{Version: 1, Op: opGet, Vault: strings.Repeat("ab", 16)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		var q request
		if doc.Decode(b, &q) != nil || q.check() != nil {
			return
		}
		switch q.Op {
		case opPut, opGet, opLock, opStatus:
		default:
			t.Fatalf("operation %q", q.Op)
		}
		if (q.Op == opPut) != (len(q.Key) == keySize) {
			t.Fatalf("%s with %d bytes of key", q.Op, len(q.Key))
		}
	})
}
