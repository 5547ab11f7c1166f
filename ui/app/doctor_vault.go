package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cipherdeck/crypto/keys"
	"cipherdeck/vault"
	"cipherdeck/vault/private"
)

// files looks at the vault's file, its folder and what lies beside it.
func (d *doctor) files() []Finding {
	path, home := d.a.vaultPath(), d.a.cfg.Home
	file := Finding{ID: "vault.file", State: Good, Found: path + " is there, and yours alone"}
	perm := private.Check(path)
	switch {
	case errors.Is(d.err, vault.ErrNotFound), errors.Is(perm, fs.ErrNotExist):
		file = Finding{ID: "vault.file", State: Warn, Found: "there is no vault in " + home, Do: "make one: cipherdeck vault init NAME; or name another folder: --home"}
	case perm != nil:
		file = Finding{ID: "vault.file", State: Bad, Found: perm.Error(), Means: "no command opens a vault that others could read or replace", Do: "run what the finding says"}
	case d.err != nil:
		file = Finding{ID: "vault.file", State: Bad, Found: d.err.Error(), Means: "it cannot be opened", Do: Explain(d.err).Cure}
	}
	return []Finding{file, d.folder(), d.copies()}
}

func (d *doctor) folder() Finding {
	f := Finding{ID: "vault.folder", State: Good, Found: "others may not look into " + d.a.cfg.Home}
	st, err := os.Stat(d.a.cfg.Home)
	switch {
	case err != nil:
		f.State, f.Found = Unknown, err.Error()
	case st.Mode().Perm()&0o022 != 0 && os.PathSeparator == '/':
		f.State, f.Found, f.Means = Bad, fmt.Sprintf("%s has mode %04o", d.a.cfg.Home, st.Mode().Perm()), "others could put another vault in its place"
		f.Do = "chmod 700 '" + d.a.cfg.Home + "'"
	case st.Mode().Perm()&0o055 != 0 && os.PathSeparator == '/':
		f.State, f.Found, f.Means = Warn, fmt.Sprintf("%s has mode %04o", d.a.cfg.Home, st.Mode().Perm()), "others see which files you have, not what is in them"
		f.Do = "chmod 700 '" + d.a.cfg.Home + "'"
	}
	return f
}

// copies looks at what a save keeps and what a killed process leaves.
func (d *doctor) copies() Finding {
	entries, err := os.ReadDir(d.a.cfg.Home)
	if err != nil {
		return Finding{ID: "vault.copies", State: Unknown, Found: err.Error()}
	}
	var open, left []string
	for _, e := range entries {
		name := e.Name()
		switch path := filepath.Join(d.a.cfg.Home, name); {
		case strings.HasSuffix(name, ".bak") && errors.Is(private.Check(path), private.ErrPermissions):
			open = append(open, name)
		case strings.HasSuffix(name, ".tmp"), strings.HasSuffix(name, ".part"):
			left = append(left, name)
		}
	}
	switch {
	case len(open) > 0:
		return Finding{ID: "vault.copies", State: Bad, Found: "others may read or replace " + strings.Join(open, ", "), Means: "a copy opens with what opened the vault when it was made", Do: "chmod 600 them"}
	case len(left) > 0:
		return Finding{ID: "vault.copies", State: Warn, Found: "left by a process that was killed: " + strings.Join(left, ", "), Means: "nothing uses them; they are encrypted, and may have slots that you removed since", Do: "delete them when no cipherdeck runs"}
	}
	return Finding{ID: "vault.copies", State: Good, Found: "no copy is open to others, and nothing was left behind"}
}

func (d *doctor) version() Finding {
	f := Finding{ID: "vault.version", State: Good, Found: fmt.Sprintf("version %d, save %d, vault key %d", d.file.Version, d.file.Generation, d.file.Rotations+1)}
	if d.file.Version < d.file.Newest {
		f.State, f.Means = Warn, fmt.Sprintf("this program writes version %d", d.file.Newest)
		f.Do = "nothing: the next save brings it up, and keeps the old file"
	}
	return f
}

func (d *doctor) rollback() Finding {
	was, ok := d.a.wasSeen(d.file.ID)
	switch {
	case d.a.cfg.StateDir == "" || !ok:
		return Finding{ID: "vault.rollback", State: Unknown, Found: "this machine has not seen this vault before", Do: "open it once: cipherdeck vault unlock"}
	case was.newer(d.file.Rotations, d.file.Generation):
		return Finding{ID: "vault.rollback", State: Bad, Found: fmt.Sprintf("save %d, and on %s this machine had save %d", d.file.Generation, time.Unix(was.At, 0).UTC().Format(time.DateOnly), was.Generation),
			Means: "it is an older copy: slots and people that were removed since are back", Do: "if you put it back yourself, the next save ends this; if not, find out who did"}
	}
	return Finding{ID: "vault.rollback", State: Good, Found: fmt.Sprintf("not older than what this machine had (save %d)", was.Generation)}
}

// recovery asks what is left when a passphrase is forgotten or a device breaks.
func (d *doctor) recovery() Finding {
	if d.has(vault.SlotRecovery) || d.has(vault.SlotGroup) {
		return Finding{ID: "slots.recovery", State: Good, Found: "a recovery code or shares open the vault too"}
	}
	return Finding{ID: "slots.recovery", State: Warn, Found: "no recovery code and no shares", Means: "nobody can reset a passphrase, and devices break", Do: "print one: cipherdeck vault recovery"}
}

// cost compares what a guess of the passphrase costs with what this machine
// would choose today.
func (d *doctor) cost() Finding {
	var weakest *keys.Argon2id
	for _, s := range d.file.Slots {
		if k := s.KDF; (s.Type == vault.SlotPassphrase || s.Type == vault.SlotBoth) && (weakest == nil || spent(k) < spent(*weakest)) {
			weakest = &k
		}
	}
	if weakest == nil {
		return Finding{ID: "slots.cost", State: Good, Found: "no passphrase opens the vault"}
	}
	today := keys.Calibrate(d.a.cfg.Unlock)
	f := Finding{ID: "slots.cost", State: Good, Found: fmt.Sprintf("a guess of the passphrase costs %d passes over %d MiB", weakest.T, weakest.MKiB>>10)}
	if 2*spent(*weakest) < spent(today) { // one step is what load makes of a measurement
		f.State, f.Means = Warn, fmt.Sprintf("this machine would choose %d passes over %d MiB today", today.T, today.MKiB>>10)
		f.Do = "set the passphrase again, the same if you like: cipherdeck vault passphrase"
	}
	return f
}

func spent(k keys.Argon2id) uint64 { return uint64(k.T) * uint64(k.MKiB) }

// kitAge is after how long a recovery code should be tried.
const kitAge = 365 * 24 * time.Hour

// inside looks at what only an open vault shows.
func (d *doctor) inside(ctx context.Context) []Finding {
	if d.err != nil {
		return nil
	}
	if !d.openQuietly(ctx) {
		return []Finding{{ID: "secrets.due", State: Unknown, Found: "not looked at: the vault is locked", Do: "cipherdeck doctor --open"}}
	}
	return []Finding{d.due(), d.kit()}
}

func (d *doctor) due() Finding {
	all, err := d.a.Secrets()
	if err != nil {
		return Finding{ID: "secrets.due", State: Unknown, Found: err.Error()}
	}
	var names []string
	for _, s := range all {
		if s.Due {
			names = append(names, s.Name)
		}
	}
	if len(names) > 0 {
		return Finding{ID: "secrets.due", State: Warn, Found: "to be renewed: " + strings.Join(names, ", "), Do: "make new ones where they are used, then: cipherdeck secret put"}
	}
	return Finding{ID: "secrets.due", State: Good, Found: fmt.Sprintf("none of %d secrets is to be renewed", len(all))}
}

func (d *doctor) kit() Finding {
	for _, s := range d.file.Slots {
		if old := d.a.Now().Sub(s.Created); (s.Type == vault.SlotRecovery || s.Type == vault.SlotGroup) && old > kitAge {
			return Finding{ID: "slots.kit", State: Warn, Found: fmt.Sprintf("your %s was made on %s", s.Type, s.Created.UTC().Format(time.DateOnly)), Means: "whether the paper is still there and readable is not known", Do: "try it: cipherdeck vault test " + s.ID}
		}
	}
	return Finding{ID: "slots.kit", State: Good, Found: "no recovery code or share is older than a year"}
}
