package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	"cipherdeck/crypto/secmem"
	"cipherdeck/vault/private"
)

const (
	keySize    = 32
	maxHeld    = 16 // vaults
	maxConns   = 16 // at once; more wait
	connTime   = 5 * time.Second
	askTime    = 60 * time.Second
	maxLife    = 24 * time.Hour
	longestNap = time.Minute // between two looks at the clock
)

// Use is a use of a key that is to be confirmed.
type Use struct {
	Vault   string // id in hex
	PID     int    // of the process that asks, 0 if the system does not tell
	Purpose string // what that process says it is; letters, digits and marks only
}

// Config is what an Agent needs.
type Config struct {
	// Socket is its path; Socket() of this package if empty.
	Socket string
	// Confirm asks whoever sits there; nil error is a yes. It has 60 s. When
	// Confirm is nil, keys that need it are refused.
	Confirm func(context.Context, Use) error
	// Now is the clock, time.Now if nil. Only wall time is used: the monotonic
	// clock stands still while the machine sleeps.
	Now func() time.Time
	// Sleep watches for the machine going to sleep and calls lock before; it
	// ends with ctx or when there is nothing to watch. WatchSleep if nil.
	Sleep func(ctx context.Context, lock func()) error
}

// Agent holds keys of vaults and serves them.
type Agent struct {
	cfg    Config
	l      *net.UnixListener
	unlock func() // of the lock that only one agent has
	woken  chan struct{}

	mu   sync.Mutex
	keys map[string]*held // by vault id
}

// held is one key.
type held struct {
	key     *secmem.Buffer
	ends    time.Time // whatever happens
	idle    time.Duration
	used    time.Time
	confirm bool
}

func (h *held) expired(now time.Time) bool {
	return !now.Before(h.ends) || h.idle > 0 && now.Sub(h.used) >= h.idle || now.Before(h.used.Add(-longestNap))
}

// Listen makes the agent's socket, and its directory with mode 0700 if it is
// missing. Errors wrap ErrRunning, ErrUnsupported or private.ErrPermissions.
func Listen(cfg Config) (*Agent, error) {
	if !supported {
		return nil, ErrUnsupported
	}
	if cfg.Socket == "" {
		var err error
		if cfg.Socket, err = Socket(); err != nil {
			return nil, err
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = WatchSleep
	}
	if err := private.Dir(filepath.Dir(cfg.Socket)); err != nil {
		return nil, err
	}
	if fi, err := os.Stat(filepath.Dir(cfg.Socket)); err != nil || fi.Mode().Perm()&0o077 != 0 {
		return nil, errors.Join(err, fmt.Errorf("%s: %w: others may enter it; run: chmod 700 '%[1]s'", filepath.Dir(cfg.Socket), private.ErrPermissions))
	}
	unlock, err := claim(cfg.Socket)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(cfg.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by one that was killed
		unlock()
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: cfg.Socket, Net: "unix"})
	if err == nil {
		err = os.Chmod(cfg.Socket, 0o600) // the directory has kept others out until here
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return &Agent{cfg: cfg, l: l, unlock: unlock, woken: make(chan struct{}, 1), keys: map[string]*held{}}, nil
}

// claim takes the lock that the one agent of a socket holds for its life.
func claim(socket string) (unlock func(), err error) {
	if c, err := net.Dial("unix", socket); err == nil { // saves waiting for the lock
		c.Close()
		return nil, fmt.Errorf("%s: %w", socket, ErrRunning)
	}
	unlock, err = private.Lock(socket)
	if errors.Is(err, private.ErrLocked) {
		return nil, fmt.Errorf("%s: %w", socket, ErrRunning)
	}
	return unlock, err
}

// Serve answers until ctx ends, and forgets all keys then. It locks on SIGHUP
// and before sleep. It may be called once.
func (a *Agent) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer a.unlock()
	defer a.Lock()
	stop := context.AfterFunc(ctx, func() { a.l.Close() })
	defer stop()
	defer a.l.Close() // which removes the socket
	hup, done := hangups()
	defer done()
	go func() { _ = a.cfg.Sleep(ctx, a.Lock) }() // no bus: nothing to watch
	go a.watch(ctx, hup)
	var wg sync.WaitGroup
	defer wg.Wait()
	room := make(chan struct{}, maxConns)
	for {
		room <- struct{}{}
		c, err := a.l.AcceptUnix()
		if err != nil {
			cancel()
			if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		wg.Go(func() {
			defer func() { c.Close(); <-room }()
			a.serve(ctx, c)
		})
	}
}

// Lock forgets all keys.
func (a *Agent) Lock() { a.forget(func(string, *held) bool { return true }) }

func (a *Agent) forget(which func(vault string, h *held) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, h := range a.keys {
		if which(id, h) {
			delete(a.keys, id)
			h.key.Wipe()
		}
	}
}

// sweep forgets what is over and tells when to look again.
func (a *Agent) sweep() time.Duration {
	now := a.now()
	a.forget(func(_ string, h *held) bool { return h.expired(now) })
	a.mu.Lock()
	defer a.mu.Unlock()
	next := longestNap
	for _, h := range a.keys {
		next = min(next, h.ends.Sub(now))
		if h.idle > 0 {
			next = min(next, h.used.Add(h.idle).Sub(now))
		}
	}
	return max(next, time.Millisecond)
}

// watch sweeps when a key is due, and locks on hang-up.
func (a *Agent) watch(ctx context.Context, hup <-chan os.Signal) {
	for {
		t := time.NewTimer(a.sweep())
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-hup:
			a.Lock()
		case <-a.woken:
		case <-t.C:
		}
		t.Stop()
	}
}

// now has no monotonic part, which would stand still during sleep.
func (a *Agent) now() time.Time { return a.cfg.Now().Round(0) }

// serve answers the one request of a connection.
func (a *Agent) serve(ctx context.Context, c *net.UnixConn) {
	_ = c.SetDeadline(time.Now().Add(connTime))
	pid, err := peer(c)
	if err != nil {
		return // another user gets no word
	}
	var q request
	defer func() { clear(q.Key) }()
	err = readFrame(c, &q)
	if err == nil {
		err = q.check()
	}
	r := reply{Code: "ok"}
	if err == nil {
		r, err = a.do(ctx, c, q, pid)
	}
	if err != nil {
		r = reply{Code: codeOf(err)}
	}
	_ = writeFrame(c, r)
	clear(r.Key)
}

func (a *Agent) do(ctx context.Context, c *net.UnixConn, q request, pid int) (reply, error) {
	r := reply{Code: "ok"}
	switch q.Op {
	case opPut:
		return r, a.put(q)
	case opLock:
		a.forget(func(id string, _ *held) bool { return q.Vault == "" || q.Vault == id })
		return r, nil
	case opStatus:
		r.Held = a.status()
		return r, nil
	}
	key, err := a.get(ctx, c, q, pid)
	r.Key = key
	return r, err
}

func (a *Agent) put(q request) error {
	if q.Confirm && a.cfg.Confirm == nil {
		return ErrNoConfirm
	}
	now := a.now()
	h := &held{
		key:  secmem.New(q.Key),
		ends: now.Add(min(time.Duration(q.Life)*time.Second, maxLife)),
		idle: time.Duration(q.Idle) * time.Second, used: now, confirm: q.Confirm,
	}
	a.mu.Lock()
	old, again := a.keys[q.Vault]
	full := !again && len(a.keys) >= maxHeld
	if !full {
		a.keys[q.Vault] = h
	}
	a.mu.Unlock()
	if full {
		h.key.Wipe()
		return ErrFull
	}
	if again {
		old.key.Wipe()
	}
	select {
	case a.woken <- struct{}{}:
	default:
	}
	return nil
}

// get is a copy of a key. If it has to be confirmed, the same key must still be
// held after the question.
func (a *Agent) get(ctx context.Context, c *net.UnixConn, q request, pid int) ([]byte, error) {
	a.sweep()
	a.mu.Lock()
	h, ok := a.keys[q.Vault]
	a.mu.Unlock()
	if !ok {
		return nil, ErrNotHeld
	}
	if h.confirm {
		_ = c.SetDeadline(time.Now().Add(askTime + connTime))
		asking, cancel := context.WithTimeout(ctx, askTime)
		err := a.cfg.Confirm(asking, Use{Vault: q.Vault, PID: pid, Purpose: plain(q.Purpose)})
		if err == nil {
			err = asking.Err()
		}
		cancel()
		if err != nil {
			return nil, ErrDenied
		}
		a.sweep()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys[q.Vault] != h {
		return nil, ErrNotHeld
	}
	h.used = a.now()
	var key []byte
	h.key.Use(func(b []byte) { key = bytes.Clone(b) })
	return key, nil
}

func (a *Agent) status() []heldKey {
	a.sweep()
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []heldKey
	for id, h := range a.keys {
		out = append(out, heldKey{id, h.ends.Unix(), h.confirm})
	}
	return out
}

// plain leaves what a terminal shows as itself.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" .-_/", r) {
			return r
		}
		return -1
	}, s)
}
