package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"cipherdeck/vault"
)

// seen is the newest save of a vault that this machine knows of. It lies outside
// of the vault's folder, so that a folder put back from a backup is noticed.
// Nothing protects it: it is for accidents, and for who can replace one file but
// not the other.
type seen struct {
	V          int    `json:"v"`
	Rotations  uint32 `json:"rotations"`
	Generation uint64 `json:"generation"`
	At         int64  `json:"at"` // Unix seconds
}

// maxSeen bounds what is read of one; what is no small file is not read at all.
const maxSeen = 4 << 10

// DefaultState is the folder for what is remembered of vaults:
// $XDG_STATE_HOME, else ~/.local/state.
func DefaultState() string {
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "cipherdeck")
	}
	h, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(h, ".local", "state", "cipherdeck")
}

func (a *App) seenPath(v *vault.Vault) string {
	return filepath.Join(a.cfg.StateDir, "seen-"+v.ID()+".json")
}

// wasSeen is what this machine remembers of a vault.
func (a *App) wasSeen(id string) (was seen, ok bool) {
	raw, err := readBounded(filepath.Join(a.cfg.StateDir, "seen-"+id+".json"), maxSeen)
	if err != nil || json.Unmarshal(raw, &was) != nil || was.V != 1 {
		return seen{}, false
	}
	return was, true
}

// newer reports whether s is a later save than this one.
func (s seen) newer(rotations uint32, generation uint64) bool {
	return s.Rotations > rotations || s.Rotations == rotations && s.Generation > generation
}

// noticeRollback tells a person that the vault is an older one than was here
// before, and what to do. It never stops anybody: it may be her own backup.
func (a *App) noticeRollback(v *vault.Vault) {
	if a.cfg.StateDir == "" {
		return
	}
	was, ok := a.wasSeen(v.ID())
	rotations, generation := v.Saves()
	if !ok || !was.newer(rotations, generation) {
		return
	}
	a.notice(fmt.Sprintf("! this vault is an OLDER copy: save %d, and on %s this machine had save %d. What was changed since is missing, and slots and people that were removed since are back. If you did not put it back yourself, somebody did; if you did, this notice ends with the next save.",
		generation, time.Unix(was.At, 0).UTC().Format(time.DateOnly), was.Generation))
}

// noteSeen remembers the newest save, once it was made or opened. A machine that
// cannot remember says nothing: the vault itself is fine.
func (a *App) noteSeen(v *vault.Vault, saved bool) {
	if err := v.Unconfirmed(); saved && err != nil {
		a.notice(fmt.Sprintf("! the vault was %v; after a power cut it may be as before", err))
	}
	if a.cfg.StateDir == "" {
		return
	}
	rotations, generation := v.Saves()
	if was, ok := a.wasSeen(v.ID()); ok && !saved && !(seen{Rotations: rotations, Generation: generation}).newer(was.Rotations, was.Generation) {
		return
	}
	raw, err := json.Marshal(seen{1, rotations, generation, a.Now().Unix()})
	if err != nil {
		return
	}
	if err := os.MkdirAll(a.cfg.StateDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return
	}
	tmp := fmt.Sprintf("%s.%d.tmp", a.seenPath(v), os.Getpid())
	if err := os.WriteFile(tmp, raw, 0o600); err != nil || os.Rename(tmp, a.seenPath(v)) != nil {
		_ = os.Remove(tmp)
	}
}
