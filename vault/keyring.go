package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/zalando/go-keyring"
)

// keyringService is the name under which all entries of this program stand.
const keyringService = "cipherdeck"

// keyringPatience is how long a call may take: the keyring may show the user a
// prompt, or hang (KeePassXC does), and its interface has no way to stop it.
const keyringPatience = 5 * time.Second

// The errors of a Keyring. All of the OS keyring's wrap ErrKeyring: each of
// them means "ask for the passphrase instead", the others say why.
var (
	ErrKeyring         = errors.New("OS keyring")
	ErrKeyringAbsent   = errors.New("no keyring service is running in this session")
	ErrKeyringLocked   = errors.New("keyring is locked and was not unlocked")
	ErrKeyringDenied   = errors.New("keyring refused access")
	ErrKeyringTimeout  = errors.New("keyring did not answer in time; it may be waiting at its own prompt")
	ErrKeyringMissing  = errors.New("keyring has no such entry")
	ErrKeyringInUse    = errors.New("keyring entry is in use already")
	ErrKeyringMismatch = errors.New("keyring entry does not open this vault")
)

// Keyring holds one small secret outside of the vault. Get and Delete return
// ErrKeyringMissing when there is none. OSKeyring is the real one.
type Keyring interface {
	Get(ctx context.Context) ([]byte, error)
	Set(ctx context.Context, secret []byte) error
	Delete(ctx context.Context) error
}

// namedKeyring is a Keyring that knows which entry it is. The name is written
// into the slot, so that the entry can be found again.
type namedKeyring interface{ Entry() string }

// OSKeyring is the entry of that name, under the service "cipherdeck", in the
// keyring of the operating system: Secret Service, macOS Keychain, Windows
// Credential Manager. An empty name chooses a new unique one; Entry tells it,
// and so does SlotInfo.Entry of the slot made with it. Every call ends after
// 5 s at the latest.
func OSKeyring(entry string) OSEntry {
	if entry == "" {
		var b [16]byte
		rand.Read(b[:])
		entry = "vault-" + hex.EncodeToString(b[:])
	}
	return OSEntry{entry}
}

// OSEntry is one entry of the keyring of the operating system.
type OSEntry struct{ name string }

// Entry is the name of the entry.
func (e OSEntry) Entry() string { return e.name }

// Get reads the entry. Errors wrap ErrKeyring and one of its causes.
func (e OSEntry) Get(ctx context.Context) (secret []byte, err error) {
	text := make(chan string, 1)
	err = e.call(ctx, func() error {
		s, err := keyring.Get(keyringService, e.name)
		text <- s
		return err
	}, nil)
	if err != nil {
		return nil, err
	}
	secret, err = base64.StdEncoding.DecodeString(<-text)
	if err != nil || len(secret) != keySize {
		return nil, fmt.Errorf("%w, entry %s: %w: it is not a key of cipherdeck", ErrKeyring, e.name, ErrKeyringMismatch)
	}
	return secret, nil
}

// Set writes the entry, over what it held. A write that completes only after
// the deadline is taken back. Errors wrap ErrKeyring and one of its causes.
func (e OSEntry) Set(ctx context.Context, secret []byte) error {
	text := base64.StdEncoding.EncodeToString(secret)
	return e.call(ctx,
		func() error { return keyring.Set(keyringService, e.name, text) },
		func() { keyring.Delete(keyringService, e.name) })
}

// Delete removes the entry. Errors wrap ErrKeyring and one of its causes.
func (e OSEntry) Delete(ctx context.Context) error {
	return e.call(ctx, func() error { return keyring.Delete(keyringService, e.name) }, nil)
}

// call runs f with a deadline. When nobody waits any more and f succeeds, late
// is run. The goroutine of a keyring that never answers lives as long as we do.
func (e OSEntry) call(ctx context.Context, f func() error, late func()) error {
	ctx, cancel := context.WithTimeout(ctx, keyringPatience)
	defer cancel()
	err := ctx.Err()
	if err == nil {
		err = available()
	}
	if err == nil {
		err = wait(ctx, f, late)
	}
	if err != nil {
		return fmt.Errorf("%w, entry %s: %w", ErrKeyring, e.name, cause(err))
	}
	return nil
}

func wait(ctx context.Context, f func() error, late func()) error {
	done := make(chan error) // unbuffered: an error is received, or nobody waits
	go func() {
		err := f()
		select {
		case done <- err:
		case <-ctx.Done():
			if err == nil && late != nil {
				late()
			}
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// KeyringSlot is a slot that 32 random bytes in k open. k must be empty: a
// secret that is there already belongs to somebody and is not overwritten
// (ErrKeyringInUse; delete it first). Removing the slot later does not delete
// the entry: call k.Delete.
func KeyringSlot(k Keyring) NewSlot {
	return NewSlot{Label: "keyring", fill: func(ctx context.Context, _ [idSize]byte, h *slotHeader) ([]byte, func(), error) {
		h.Type, h.Entry = SlotKeyring, entryOf(k)
		if err := h.check(); err != nil {
			return nil, nothing, err
		}
		return deposit(ctx, k, h.Entry)
	}}
}

func entryOf(k Keyring) string {
	if n, ok := k.(namedKeyring); ok {
		return n.Entry()
	}
	return "unnamed"
}

// deposit puts a new random secret into k, which must be empty.
func deposit(ctx context.Context, k Keyring, entry string) (secret []byte, undo func(), err error) {
	if _, err := k.Get(ctx); err == nil {
		return nil, nothing, fmt.Errorf("%w: %s", ErrKeyringInUse, entry)
	} else if !errors.Is(err, ErrKeyringMissing) {
		return nil, nothing, err
	}
	secret = make([]byte, keySize)
	rand.Read(secret)
	if err := k.Set(ctx, secret); err != nil {
		return nil, nothing, err
	}
	return secret, func() { k.Delete(context.WithoutCancel(ctx)) }, nil
}

// FromKeyring unlocks with the secret that KeyringSlot left in k. Open fails
// with the error of k, or with ErrKeyringMismatch when no slot takes the secret.
func FromKeyring(k Keyring) Unlocker { return fromKeyring{k} }

type fromKeyring struct{ k Keyring }

func (u fromKeyring) unlock(ctx context.Context, f *file) (opened, error) {
	result := ErrNoSlot
	var secret []byte
	for _, s := range f.slots {
		if s.Type != SlotKeyring {
			continue
		}
		if secret == nil { // asked for only when there is a use for it
			var err error
			if secret, err = u.k.Get(ctx); err != nil {
				return opened{}, err
			}
			defer clear(secret)
		}
		if o, ok := f.try(s, bytes.Clone(secret)); ok {
			return o, nil
		}
		result = ErrKeyringMismatch
	}
	return opened{}, result
}
