package secret

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// ErrProtocol is wrapped for input that does not follow git's protocol.
var ErrProtocol = errors.New("not the credential protocol of git")

// errSame ends an Update that would save what is there already: git stores
// after every use.
var errSame = errors.New("nothing to change")

// Limits of what git may send (its own limit for a line is 64 KiB).
const (
	maxGitInput = 64 << 10
	maxGitLines = 256
)

// Store is where GitCredential finds and keeps secrets: View for a look, Update
// to change and save, which must not save when the function fails.
// vault.Vault.Secrets gives both.
type Store struct {
	View   func(func(Set) error) error
	Update func(func(Set) error) error // nil if git may not change anything
	Used   func(name string)           // told which secret was given; may be nil
}

// GitCredential answers one call of git to its credential helper
// (gitcredentials(7), git-credential(1)): action is get, store or erase, in is
// key=value lines up to an empty one. For get it writes the user name and
// password of the one secret of kind Git whose host, and whose protocol, path
// and username where set, are those asked for; of several the most specific; and
// nothing if there is none or the choice is not clear, so that git asks on. An
// unknown action does nothing, as the protocol wants.
//
// store keeps a credential under the name git-host, or git-host-username if that
// is another's. erase removes a secret only if its password is the one that git
// says was refused.
//
// A secret without a protocol is given for https only. Errors wrap ErrProtocol
// or are those of the store; out has then nothing of a secret.
func GitCredential(action string, in io.Reader, out io.Writer, store Store, now time.Time) error {
	switch action {
	case "get", "store", "erase":
	default:
		return nil
	}
	ask, err := readGit(in)
	if err != nil {
		return err
	}
	defer ask.wipe()
	switch action {
	case "get":
		return ask.get(out, store)
	case "store":
		err = ask.store(store, now)
	default:
		err = ask.erase(store)
	}
	if errors.Is(err, errSame) {
		return nil
	}
	return err
}

// gitAsk is the attributes of a request.
type gitAsk map[string][]byte

func (a gitAsk) wipe() {
	for _, v := range a {
		clear(v)
	}
}

// readGit reads key=value lines. Keys may come again (key[]=), the last of plain
// ones counts. Values with a carriage return or zero byte are refused: they are
// how one host's credential is asked for in another's name (CVE-2024-52006).
func readGit(in io.Reader) (gitAsk, error) {
	ask := gitAsk{}
	r := bufio.NewReader(io.LimitReader(in, maxGitInput+1))
	total := 0
	for range maxGitLines {
		line, err := r.ReadBytes('\n')
		total += len(line)
		if total > maxGitInput {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrProtocol, maxGitInput)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		end := err != nil
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 {
			return ask, nil
		}
		key, value, ok := bytes.Cut(line, []byte("="))
		if !ok || len(key) == 0 || bytes.ContainsAny(line, "\x00\r") {
			return nil, fmt.Errorf("%w: line %d is not key=value", ErrProtocol, len(ask)+1)
		}
		ask[string(key)] = bytes.Clone(value)
		clear(line)
		if end {
			return ask, nil
		}
	}
	return nil, fmt.Errorf("%w: more than %d lines", ErrProtocol, maxGitLines)
}

// score is how well s suits: -1 not at all, else the number of attributes that
// s names.
func (a gitAsk) score(s Secret) int {
	if s.Kind != Git || len(a["host"]) == 0 || !strings.EqualFold(string(s.Fields["host"]), string(a["host"])) {
		return -1
	}
	protocol := s.Fields["protocol"]
	if len(protocol) == 0 {
		protocol = []byte("https")
	}
	if !bytes.Equal(protocol, a["protocol"]) {
		return -1
	}
	n := 0
	if want := s.Fields["path"]; len(want) > 0 {
		if !bytes.Equal(want, a["path"]) {
			return -1
		}
		n++
	}
	if user := a["username"]; len(user) > 0 && len(s.Fields["username"]) > 0 {
		if !bytes.Equal(user, s.Fields["username"]) {
			return -1
		}
		n++
	}
	return n
}

// find is the name of the secret that suits best, "" if there is none or two
// suit as well.
func (a gitAsk) find(set Set) string {
	best, name, tied := -1, "", false
	for _, n := range set.Names() {
		switch score := a.score(set[n]); {
		case score > best:
			best, name, tied = score, n, false
		case score == best && score >= 0:
			tied = true
		}
	}
	if tied {
		return ""
	}
	return name
}

func (a gitAsk) get(out io.Writer, store Store) error {
	return store.View(func(set Set) error {
		name := a.find(set)
		if name == "" {
			return nil
		}
		s := set[name]
		user := s.Fields["username"]
		if len(user) == 0 {
			user = a["username"]
		}
		if len(user) == 0 {
			user = []byte("git") // a token alone: hosts take any name with it
		}
		var reply []byte
		for _, v := range []struct {
			key   string
			value []byte
		}{{"username", user}, {"password", s.Fields["password"]}} {
			if bytes.ContainsAny(v.value, "\n\r\x00") {
				return fmt.Errorf("%w: %s of %q has a line end", ErrInvalid, v.key, name)
			}
			reply = append(append(append(append(reply, v.key...), '='), v.value...), '\n')
		}
		defer clear(reply)
		if store.Used != nil {
			store.Used(name)
		}
		_, err := out.Write(reply)
		return err
	})
}

func (a gitAsk) store(store Store, now time.Time) error {
	if store.Update == nil || len(a["host"]) == 0 || len(a["password"]) == 0 {
		return nil
	}
	return store.Update(func(set Set) error {
		fields := map[string][]byte{}
		for _, f := range []string{"protocol", "host", "path", "username", "password"} {
			if len(a[f]) > 0 {
				fields[f] = a[f]
			}
		}
		name := a.name(set)
		if old, ok := set[name]; ok && bytes.Equal(old.Fields["password"], a["password"]) {
			return errSame
		}
		return set.Put(name, Secret{Kind: Git, Fields: fields, Rotate: set[name].Rotate}, now)
	})
}

// name is where a credential is stored: over the secret with the same host,
// protocol, path and username, or under a name that is free.
func (a gitAsk) name(set Set) string {
	for _, n := range set.Names() {
		s := set[n]
		if a.score(s) >= 0 && bytes.Equal(s.Fields["path"], a["path"]) && bytes.Equal(s.Fields["username"], a["username"]) {
			return n
		}
	}
	plain := func(b []byte) string {
		return strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
				return r
			}
			return '_'
		}, string(b[:min(len(b), 24)]))
	}
	name := "git-" + plain(a["host"])
	if _, taken := set[name]; taken && len(a["username"]) > 0 {
		name += "-" + plain(a["username"])
	}
	base := name
	for i := 2; ; i++ {
		if _, taken := set[name]; !taken {
			return name
		}
		name = fmt.Sprintf("%s.%d", base, i)
	}
}

func (a gitAsk) erase(store Store) error {
	if store.Update == nil || len(a["password"]) == 0 {
		return nil
	}
	return store.Update(func(set Set) error {
		name := a.find(set)
		if name == "" || !bytes.Equal(set[name].Fields["password"], a["password"]) {
			return errSame
		}
		return set.Delete(name)
	})
}
