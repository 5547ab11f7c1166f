// Package app is what a user can do, without how it looks.
//
// Every use-case (create a vault, seal a file, check a server, share, run) is
// a method of App. The command line, the workstation and the demonstration are
// three callers of the same methods. This is the composition root: the only
// place where the vault, the server's client and encrypted inference meet. It
// draws nothing and knows no terminal.
package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cipherdeck/remote/api"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
)

// Version is what this program calls itself.
const Version = "0.1.0-dev"

// VaultFile is the name of the vault in its home folder.
const VaultFile = "vault.cdv"

// The errors of this package.
var (
	ErrLocked   = errors.New("the vault is locked")
	ErrName     = errors.New("no such name")
	ErrTaken    = errors.New("the name is taken")
	ErrWords    = errors.New("the words do not match")
	ErrVerify   = errors.New("this person's keys are not verified")
	ErrPin      = errors.New("the server's pinned facts would change")
	ErrInput    = errors.New("input is not usable")
	ErrRejected = errors.New("the result was rejected")
	ErrSick     = errors.New("something is bad")
	ErrCommand  = errors.New("the command failed")
)

// Ask gets a passphrase from whoever sits there; twice asks for it again.
type Ask func(ctx context.Context, prompt string, twice bool) ([]byte, error)

// Config is how an App is put together. Now and Ask may be nil.
type Config struct {
	Home      string // folder of the vault
	Now       func() time.Time
	Ask       Ask
	AskNew    Ask    // for a new secret, once the vault is open; nil: Ask
	AskPIN    Ask    // for the PIN of a device; nil: as a passphrase
	AskText   Ask    // for what is no secret; nil: not at all
	AskCode   Ask    // for what is on paper: a recovery code, a share; nil: not at all
	AskYes    AskYes // the agent's question before a key is used; nil: nobody can be asked
	Way       Way    // how to open the vault; "": the first way that works
	Devices   Devices
	Unlock    time.Duration     // how long deriving a key from a new passphrase may take; 0: the least
	Notice    func(text string) // told what a person should know and is no error; may be nil
	StateDir  string            // remembers what must not go back when the home folder does; "": nowhere
	EnvPass   bool              // the passphrase came by the environment
	NoKeyring bool              // do not ask the OS keyring
	NoKernel  bool              // do not ask the kernel's keyring
	Agent     string            // what this command is called, to ask the unlock agent first; "": do not ask it
	Keyring   vault.Keyring     // nil: the OS keyring, entry named after the vault
}

// App is one user's open workstation. Its methods may be called from several
// goroutines.
type App struct {
	cfg   Config
	board *Board

	mu      sync.Mutex
	vault   *vault.Vault
	me      *account.Me
	by      Way      // how the vault was opened
	waiting *waiting // a vault that opened and holds no account yet; then vault is nil
	closes  int      // how often it was locked
	clients map[clientKey]*api.Client
	retired []*api.Client       // not used for anything new; closed at the end
	met     map[string]bool     // servers that were asked for newer links of my account
	blobs   *folder             // cache of this machine; nil until it is needed
	logs    map[string]*logNews // of servers' journals, by server: not saved yet
}

// Facts is what a face needs to know to say what can be done now.
type Facts struct {
	HasVault bool
	Unlocked bool
	Name     string // of the account
	UID      string
	Servers  int
	Projects int
}

// New makes an App on the folder cfg.Home. Nothing is read yet.
func New(cfg Config) *App {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &App{cfg: cfg, board: newBoard(), clients: map[clientKey]*api.Client{}, met: map[string]bool{}, logs: map[string]*logNews{}}
}

// DefaultHome is the folder used when none is given: $CIPHERDECK_HOME, else
// the user's data folder.
func DefaultHome() (string, error) {
	if h := os.Getenv("CIPHERDECK_HOME"); h != "" {
		return h, nil
	}
	if d := os.Getenv("XDG_DATA_HOME"); d != "" {
		return filepath.Join(d, "cipherdeck"), nil
	}
	h, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%w: no home folder: set CIPHERDECK_HOME: %v", ErrInput, err)
	}
	return filepath.Join(h, ".local", "share", "cipherdeck"), nil
}

// unlockTime is how long checking a new passphrase takes, unless somebody says
// otherwise.
const unlockTime = 750 * time.Millisecond

// UnlockTime reads how long checking a new passphrase shall take: text, else
// $CIPHERDECK_UNLOCK_TIME, else 750 ms.
func UnlockTime(text string) (time.Duration, error) {
	if text == "" {
		text = os.Getenv("CIPHERDECK_UNLOCK_TIME")
	}
	if text == "" {
		return unlockTime, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > time.Minute {
		return 0, fmt.Errorf("%w: unlock time %q: want a time up to 1m, as 750ms", ErrInput, text)
	}
	return d, nil
}

// lockAfter is how long an open workstation waits for a key before it locks,
// unless somebody says otherwise.
const lockAfter = 10 * time.Minute

// LockAfter reads how long a workstation that nobody touches stays open: from
// $CIPHERDECK_LOCK_AFTER, else 10 minutes. 0 is for ever.
func LockAfter() (time.Duration, error) {
	text := os.Getenv("CIPHERDECK_LOCK_AFTER")
	if text == "" {
		return lockAfter, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > 0 && d < time.Second {
		return 0, fmt.Errorf("%w: CIPHERDECK_LOCK_AFTER is %q: want a time of at least 1s, as 10m, or 0 for never", ErrInput, text)
	}
	return d, nil
}

// Home is the folder of this App.
func (a *App) Home() string { return a.cfg.Home }

// Board is what happened since the program started.
func (a *App) Board() *Board { return a.board }

// Now is the App's clock.
func (a *App) Now() time.Time { return a.cfg.Now() }

func (a *App) vaultPath() string { return filepath.Join(a.cfg.Home, VaultFile) }

// Facts is the present state, cheap enough to ask for every frame.
func (a *App) Facts() Facts {
	a.mu.Lock()
	defer a.mu.Unlock()
	var f Facts
	f.Unlocked = a.vault != nil
	if !f.Unlocked {
		_, err := os.Stat(a.vaultPath())
		f.HasVault = err == nil
		return f
	}
	f.HasVault, f.Name, f.UID = true, a.me.Account.Name, a.me.Account.UID.String()
	a.vault.View(func(s vault.State) { f.Servers, f.Projects = len(s.Servers), len(s.Projects) })
	return f
}

// Close locks: connections end, keys are wiped, the board is empty.
func (a *App) Close() {
	a.saveLogs()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.clients {
		c.Close()
	}
	for _, c := range a.retired {
		c.Close()
	}
	clear(a.clients)
	clear(a.logs)
	a.retired = nil
	if a.vault != nil {
		a.vault.Close()
	}
	if a.waiting != nil {
		a.waiting.vault.Close()
	}
	a.vault, a.me, a.waiting = nil, nil, nil
	clear(a.met)
	a.closes++
	a.board.forget()
}

// opened returns the unlocked vault and the identity in it. The error wraps
// ErrLocked.
func (a *App) opened() (*vault.Vault, *account.Me, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.vault == nil {
		return nil, nil, ErrLocked
	}
	return a.vault, a.me, nil
}

// view reads the vault's state.
func (a *App) view(f func(vault.State)) error {
	v, _, err := a.opened()
	if err != nil {
		return err
	}
	v.View(f)
	return nil
}

// update changes the vault's state and saves it.
func (a *App) update(f func(*vault.State) error) error {
	v, _, err := a.opened()
	if err != nil {
		return err
	}
	err = v.Update(func(s *vault.State) error {
		if err := f(s); err != nil {
			return err
		}
		a.foldLogs(s)
		return nil
	})
	if err != nil {
		a.unsavedLogs()
		return err
	}
	a.noteSeen(v, true)
	return nil
}
