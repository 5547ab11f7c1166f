//go:build cgo && unix

package main

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/miekg/pkcs11"
	"golang.org/x/sys/unix"

	"cipherdeck/vault/pkcs11/wire"
)

// What is looked at, and told, at most.
const (
	maxTokens = 16
	maxKeys   = 512
	maxListed = 32
)

// longestTurn is how long to wait for another helper: any user of the machine
// can hold the lock.
const longestTurn = 10 * time.Second

// module is a loaded library of a vendor.
type module struct{ *pkcs11.Ctx }

func load(path string) (module, error) {
	if !filepath.IsAbs(path) {
		return module{}, fail(wire.NoModule, "%s is not an absolute path", path)
	}
	if _, err := os.Stat(path); err != nil {
		return module{}, fail(wire.NoModule, "%v", err)
	}
	takeTurns(path)
	c := pkcs11.New(path)
	if c == nil {
		return module{}, fail(wire.NoModule, "%s cannot be loaded as a PKCS#11 library", path)
	}
	if err := c.Initialize(); err != nil {
		c.Destroy()
		return module{}, tokenSays("start "+path, err, wire.NoModule)
	}
	return module{c}, nil
}

// takeTurns waits until no other helper uses the library, but not for long: two
// logins at once make SoftHSM 2.6 lose sight of its token while it writes its
// files. The lock ends with the process.
func takeTurns(path string) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	for end := time.Now().Add(longestTurn); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != unix.EWOULDBLOCK {
			return
		}
	}
}

func (m module) end() {
	_ = m.Finalize()
	m.Destroy()
}

// present is the tokens that are there and ready, by the number of their slot.
func (m module) present() (map[uint]wire.Token, error) {
	slots, err := m.GetSlotList(true)
	if err != nil {
		return nil, tokenSays("list tokens", err, wire.Failed)
	}
	found := map[uint]wire.Token{}
	for _, s := range slots {
		t, ready, err := m.look(s)
		if err == nil && ready && len(found) < maxTokens { // one that is pulled out is not there
			found[s] = t
		}
	}
	return found, nil
}

// look asks the token in a slot who it is.
func (m module) look(slot uint) (t wire.Token, ready bool, err error) {
	i, err := m.GetTokenInfo(slot)
	if err != nil {
		return t, false, err
	}
	has := func(flag uint) bool { return i.Flags&flag != 0 }
	t = wire.Token{Label: wire.Plain(i.Label), Serial: wire.Plain(i.SerialNumber),
		Manufacturer: wire.Plain(i.ManufacturerID), Model: wire.Plain(i.Model),
		Locked: has(pkcs11.CKF_USER_PIN_LOCKED), Low: has(pkcs11.CKF_USER_PIN_COUNT_LOW), Last: has(pkcs11.CKF_USER_PIN_FINAL_TRY)}
	if f, err := m.GetMechanismInfo(slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_OAEP, nil)}); err == nil {
		t.OAEP = f.Flags&pkcs11.CKF_DECRYPT != 0
	}
	return t, has(pkcs11.CKF_TOKEN_INITIALIZED), nil
}

// list is all tokens, with the keys that show themselves without a PIN.
func (m module) list() ([]wire.Token, error) {
	present, err := m.present()
	if err != nil {
		return nil, err
	}
	var out []wire.Token
	for _, s := range sorted(present) {
		out = append(out, m.withKeys(s, present[s]))
	}
	return out, nil
}

// withKeys adds the keys that are seen. A token that shows none is still there.
func (m module) withKeys(slot uint, known wire.Token) wire.Token {
	t, err := m.open(slot, known, false)
	if err != nil {
		return known
	}
	defer t.end()
	keys, _ := t.public()
	for _, k := range keys[:min(len(keys), maxListed)] {
		known.Keys = append(known.Keys, k.Key)
	}
	return known
}

// choose opens the one token that the request means.
func (m module) choose(q wire.Request) (*token, error) {
	present, err := m.present()
	if err != nil {
		return nil, err
	}
	var fit, named []uint
	for _, s := range sorted(present) {
		t := present[s]
		if q.Token != "" && t.Label != q.Token {
			continue
		}
		if q.Serial == "" || t.Serial == q.Serial { // not all libraries number their tokens
			fit = append(fit, s)
		} else {
			named = append(named, s)
		}
	}
	switch {
	case len(fit) == 1:
		return m.open(fit[0], present[fit[0]], q.Op == wire.Make)
	case len(fit) > 1:
		return nil, fail(wire.Choose, "%d tokens: name one by its label", len(fit))
	case len(named) > 0 && q.Token != "":
		return nil, fail(wire.OtherToken, "token %q has serial number %q, not %q", q.Token, present[named[0]].Serial, q.Serial)
	case q.Serial != "":
		return nil, fail(wire.NoToken, "token %q with serial number %q is not there", q.Token, q.Serial)
	}
	return nil, fail(wire.NoToken, "token %q is not there", q.Token)
}

func (m module) open(slot uint, t wire.Token, write bool) (*token, error) {
	flags := uint(pkcs11.CKF_SERIAL_SESSION)
	if write {
		flags |= pkcs11.CKF_RW_SESSION
	}
	s, err := m.OpenSession(slot, flags)
	if err != nil {
		return nil, tokenSays("open a session", err, wire.Failed)
	}
	return &token{Token: t, m: m, slot: slot, session: s}, nil
}

func sorted(tokens map[uint]wire.Token) []uint {
	var out []uint
	for s := range tokens {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}
