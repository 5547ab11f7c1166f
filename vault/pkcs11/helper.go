package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cipherdeck/vault/pkcs11/wire"
)

// program is the helper's name.
const program = "cipherdeck-pkcs11"

// How long the helper may take; to make a key is slow on a card.
const (
	limit     = 2 * time.Minute
	limitMake = 10 * time.Minute
)

// maxPIN is the most bytes of a PIN.
const maxPIN = 255

// answer is a reply with code OK.
type answer struct {
	wire.Reply
	secret []byte
}

// ask runs the helper for one request. Errors are those of the package or of ctx.
func ask(ctx context.Context, helper string, q wire.Request, pin []byte) (answer, error) {
	if len(pin) > maxPIN {
		return answer{}, fmt.Errorf("%w: it has %d bytes, limit %d", ErrPIN, len(pin), maxPIN)
	}
	path, err := locate(helper)
	if err != nil {
		return answer{}, err
	}
	most := limit
	if q.Op == wire.Make {
		most = limitMake
	}
	late := fmt.Errorf("%w: no answer in %s", ErrHelper, most)
	ctx, cancel := context.WithTimeoutCause(ctx, most, late)
	defer cancel()
	a, err := run(ctx, path, q, pin)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = errorOf(a.Reply)
	}
	if err == nil && (q.Op == wire.Decrypt) != (len(a.secret) > 0) {
		err = fmt.Errorf("%w: a secret of %d bytes", ErrHelper, len(a.secret))
	}
	if err != nil {
		clear(a.secret)
		return answer{}, err
	}
	return a, nil
}

// locate finds the helper.
func locate(helper string) (string, error) {
	var tries []string
	if helper != "" {
		abs, err := filepath.Abs(helper)
		if err != nil {
			return "", fmt.Errorf("%w: %v", ErrNoHelper, err)
		}
		tries = []string{abs}
	} else {
		if self, err := os.Executable(); err == nil {
			tries = append(tries, filepath.Join(filepath.Dir(self), program))
		}
		tries = append(tries, program)
	}
	var err error
	for _, t := range tries {
		var path string
		if path, err = exec.LookPath(t); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %v", ErrNoHelper, err)
}

// run starts the helper, gives it the request and reads its reply.
func run(ctx context.Context, path string, q wire.Request, pin []byte) (a answer, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends a helper that does not end by itself
	cmd := exec.CommandContext(ctx, path)
	// Its standard error is thrown away: libraries with debugging switched on
	// print PINs there.
	cmd.Dir, cmd.Env, cmd.WaitDelay = string(filepath.Separator), environ(), time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return a, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return a, err
	}
	if err := cmd.Start(); err != nil {
		return a, fmt.Errorf("%w: %v", ErrNoHelper, err)
	}
	stop := context.AfterFunc(ctx, func() { in.Close(); out.Close() }) // also if its children hold the pipes
	defer stop()
	// It may answer before it has read all, so both at once.
	sent := make(chan error, 1)
	go func() {
		err := wire.Write(in, q, pin)
		in.Close()
		sent <- err
	}()
	a.secret, err = wire.Read(out, &a.Reply)
	in.Close()
	if e := <-sent; err == nil && errors.Is(e, wire.ErrMessage) {
		err = e
	}
	ended := errors.Is(err, wire.ErrCut)
	if !ended {
		cancel() // with a whole reply it has nothing left to do
	}
	how := cmd.Wait()
	switch {
	case err == nil:
		return a, nil
	case ended && how != nil:
		return a, fmt.Errorf("%w: it ended without an answer (%v); the token's library may have crashed", ErrHelper, how)
	}
	return a, fmt.Errorf("%w: %v", ErrHelper, err)
}

// errorOf is the error that a reply tells of.
func errorOf(r wire.Reply) error {
	var kind error
	switch r.Code {
	case wire.OK:
		return nil
	case wire.NoModule:
		kind = ErrModule
	case wire.NoToken:
		kind = ErrNoToken
	case wire.OtherToken, wire.OtherKey:
		kind = ErrOther
	case wire.NoKey:
		kind = ErrNoKey
	case wire.Choose:
		kind = ErrChoose
	case wire.Exists:
		kind = ErrExists
	case wire.WrongPIN:
		kind = ErrPIN
	case wire.Locked:
		kind = ErrLocked
	case wire.Refused:
		kind = ErrRefused
	case wire.Failed:
		kind = ErrToken
	case wire.NoCgo:
		kind = ErrNoHelper
	default:
		kind = ErrHelper
	}
	return fmt.Errorf("%w: %s", kind, wire.Plain(r.Text))
}

// environ is ours without what is meant for us, such as a passphrase.
func environ() []string {
	var out []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CIPHERDECK_") {
			out = append(out, e)
		}
	}
	return out
}

// Find is where the helper of o is. Errors wrap ErrNoHelper.
func Find(o Options) (string, error) { return locate(o.Helper) }
