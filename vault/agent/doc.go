// Package agent keeps vaults unlocked between commands.
//
// One process listens on a private Unix socket and holds vault keys, nothing
// else of a vault, in careful memory (crypto/secmem). A command that unlocked a
// vault gives it the key (Put); later ones open the vault with Get. A key is
// forgotten when its time is over, when it was not used for its idle time, on
// Lock, on SIGHUP, before the machine sleeps (logind's PrepareForSleep, where
// there is a system bus), and when the agent ends. A key may be held so that
// each use needs a yes from whoever sits there: Config.Confirm asks.
//
// Who may ask: only processes of the same user. The socket lies in a directory
// of mode 0700, and both ends check the other's user id with the kernel
// (SO_PEERCRED on Linux, LOCAL_PEERCRED on macOS). On other systems there is no
// agent: ErrUnsupported.
//
// What it does not do. Every process of the user can ask while a key is held,
// that is what an agent is for; the name of the command that a confirmation
// shows is what the asker says, its process id is the kernel's word. The key
// crosses the socket and lies in the asker's ordinary memory. There is no lease
// that ends in the asker when the agent locks: a program that opened the vault
// keeps it open. The idle time of a program's own open vault is that program's.
//
// docs/formats/agent.md has the protocol.
package agent

import "errors"

// The errors of this package. Those of a request travel as their codes.
var (
	ErrNoAgent     = errors.New("no agent is running")
	ErrRunning     = errors.New("an agent is running already")
	ErrUnsupported = errors.New("there is no agent on this system")
	ErrNotHeld     = errors.New("agent does not hold this vault's key")
	ErrDenied      = errors.New("use of the vault's key was not confirmed")
	ErrNoConfirm   = errors.New("agent has no way to ask for a confirmation")
	ErrFull        = errors.New("agent holds as many keys as it may")
	ErrPeer        = errors.New("other end of the agent's socket is another user")
	ErrProtocol    = errors.New("not the agent's protocol")
)
