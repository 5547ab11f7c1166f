package demo

import (
	"context"
	"errors"
	"os"
	"strings"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/vault"
)

// actVault creates Alice's vault, locks it, shows that a wrong passphrase does
// not open it, and unlocks it.
func actVault(ctx context.Context, s *Stage, t *teller, sink progress.Sink) error {
	sink.Phase("derive RSA-3072, X-Wing and Ed25519 keys", 0, progress.None)
	id, err := s.Alice.InitVault(ctx, "alice", []byte(s.pass), s.opt.Keyring)
	if err != nil {
		return err
	}
	t.say(Info, "scratch home %s", s.Home)
	t.say(Info, "to do by hand in another terminal what follows: . %s", s.path(envFile))
	t.say(Good, "vault of %s created, opened by %s", id.Name, strings.Join(id.Slots, " or "))
	t.figure("slots", id.Slots)
	s.Alice.Close()
	if err := t.must(!s.Alice.Facts().Unlocked, "locked: keys wiped from memory, as far as Go can promise"); err != nil {
		return err
	}
	sink.Phase("try a wrong passphrase", 0, progress.None)
	if err := wrongPassphrase(ctx, s, t); err != nil {
		return err
	}
	sink.Phase("unlock", 0, progress.None)
	back, err := s.Alice.Unlock(ctx, s.passphrase)
	if err != nil {
		return err
	}
	want := "passphrase"
	if s.opt.Keyring {
		want = "OS keyring"
	}
	if err := t.must(back.UID == id.UID && back.By == want, "unlocked by %s: same identity %s", back.By, back.UID); err != nil {
		return err
	}
	st, err := os.Stat(back.Vault)
	if err != nil {
		return err
	}
	t.figure("vault_bytes", st.Size())
	t.figure("uid", back.UID)
	t.figure("unlocked_by", back.By)
	return nil
}

func wrongPassphrase(ctx context.Context, s *Stage, t *teller) error {
	// Another App on the same file, so that the keyring does not help.
	other := app.New(app.Config{Home: s.path("alice"), NoKeyring: true})
	defer other.Close()
	_, err := other.Unlock(ctx, func(context.Context) ([]byte, error) { return []byte("not the passphrase"), nil })
	return t.must(errors.Is(err, vault.ErrWrongPassphrase), "a wrong passphrase does not open it")
}
