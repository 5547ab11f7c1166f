package project

import (
	"context"
	"crypto"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/vault/account"
)

// AcceptType is the document type of an answer to an invitation.
const AcceptType = "project/accept"

// MaxAccept bounds an answer in bytes: an account with its links.
const MaxAccept = chain.MaxLink

// InviteLife is how long an invitation is open unless said otherwise.
const InviteLife = 72 * time.Hour

// tokenPrefix makes a token easy to find where it leaked.
const tokenPrefix = "cdinvite1_"

// The errors of invitations.
var (
	ErrToken  = errors.New("not an invitation token")
	ErrAnswer = errors.New("answer does not show the invitation's secret")
)

// Invitation is what a token says. Whoever holds it can answer for the person
// whom it was given to, so it goes by a way that only she reads. It pins the
// project by its genesis and the head of that moment, so that the invited one
// cannot be shown another project, nor an older state of this one.
type Invitation struct {
	V       uint8          `cbor:"1,keyasint"`
	Server  string         `cbor:"2,keyasint"` // pairing code
	Project id.ID          `cbor:"3,keyasint"`
	Name    string         `cbor:"4,keyasint"` // the inviter's word for the project
	Seq     uint64         `cbor:"5,keyasint"`
	Head    id.ID          `cbor:"6,keyasint"`
	From    chain.UID      `cbor:"7,keyasint"` // who invites
	ID      chain.InviteID `cbor:"8,keyasint"`
	Secret  [16]byte       `cbor:"9,keyasint"`
}

// String hides the secret, so that no log or error can show it by accident.
func (Invitation) String() string { return "project.Invitation(hidden)" }

// GoString hides the secret from %#v.
func (i Invitation) GoString() string { return i.String() }

// Token is the invitation as text without blanks.
func (i Invitation) Token() (string, error) {
	b, err := doc.Encode(i)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(b, sum[:4]...)), nil
}

// ParseToken reads what Token writes. Errors wrap ErrToken.
func ParseToken(s string) (Invitation, error) {
	var i Invitation
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), tokenPrefix)
	if !ok {
		return i, fmt.Errorf("%w: it begins with %s", ErrToken, tokenPrefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || len(b) < 5 {
		return i, fmt.Errorf("%w: it is cut or mistyped", ErrToken)
	}
	b, check := b[:len(b)-4], b[len(b)-4:]
	if sum := sha256.Sum256(b); string(sum[:4]) != string(check) {
		return i, fmt.Errorf("%w: it is cut or mistyped", ErrToken)
	}
	if err := doc.Decode(b, &i); err != nil || i.V != 1 {
		return Invitation{}, fmt.Errorf("%w: version %d", ErrToken, i.V)
	}
	return i, nil
}

// Invite opens an invitation for role until a time. server is the pairing code
// of the project's server. The secret in the result is nowhere else.
func (p *Project) Invite(ctx context.Context, role chain.Role, until time.Time, server string) (Invitation, error) {
	i := Invitation{V: 1, Server: server, Project: p.ID(), Name: p.Name(), From: p.me.Account.UID}
	_, _ = rand.Read(i.ID[:]) // never fails: see crypto/rand
	_, _ = rand.Read(i.Secret[:])
	err := p.retry(ctx, func() error {
		return p.extend(ctx, chain.KindInvite, chain.InviteBody{ID: i.ID, Role: role, NotAfter: until.Unix()})
	})
	i.Seq, i.Head = p.state.Seq, p.state.Head
	return i, err
}

// Uninvite withdraws an invitation.
func (p *Project) Uninvite(ctx context.Context, i chain.InviteID) error {
	return p.retry(ctx, func() error { return p.extend(ctx, chain.KindUninvite, chain.UninviteBody{ID: i}) })
}

// accept is the signed body of an answer.
type accept struct {
	V       uint8          `cbor:"1,keyasint"`
	Project id.ID          `cbor:"2,keyasint"`
	Invite  chain.InviteID `cbor:"3,keyasint"`
	Genesis []byte         `cbor:"4,keyasint"`
	Links   [][]byte       `cbor:"5,keyasint"`
	MAC     []byte         `cbor:"6,keyasint"`
}

// Accept answers an invitation as me. The answer shows the inviter that whoever
// holds these keys holds the secret; the server, who passes it on, learns
// neither the secret nor a way to put other keys in.
func Accept(i Invitation, me *account.Me) ([]byte, error) {
	mac, err := answerMAC(i.Secret, i.Project, i.ID, i.From, me.Account)
	if err != nil {
		return nil, err
	}
	links := me.Account.Links
	if links == nil {
		links = [][]byte{}
	}
	return doc.Sign(AcceptType, accept{V: 1, Project: i.Project, Invite: i.ID, Genesis: me.Account.Raw, Links: links, MAC: mac}, me.Device)
}

// answerMAC is HMAC-SHA-256 under a key from the secret, over who invites, who
// answers with which keys, and what for.
func answerMAC(secret [16]byte, pid id.ID, i chain.InviteID, from chain.UID, a *chain.Account) ([]byte, error) {
	k, err := hkdf.Key(sha256.New, secret[:], pid[:], "cipherdeck/project/v1/accept", 32)
	if err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, k)
	m.Write(doc.LP(pid[:], i[:], from[:], a.UID[:], a.Head[:]))
	return m.Sum(nil), nil
}

// openAccept verifies the signatures of an answer, not its secret. Errors wrap
// ErrAnswer.
func openAccept(raw []byte) (a *chain.Account, b accept, err error) {
	s, _, err := doc.Open(raw, AcceptType, MaxAccept, func(k doc.KeyID, body []byte) (_ crypto.PublicKey, err error) {
		if a == nil {
			if err := doc.Decode(body, &b); err != nil {
				return nil, err
			}
			if a, err = chain.OpenAccountChain(b.Genesis, b.Links); err != nil {
				return nil, err
			}
		}
		return a.Keys()(k, nil)
	})
	if err != nil {
		return nil, b, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if len(s.Sigs) != 1 || b.V != 1 || a.Kind != chain.Person {
		return nil, b, fmt.Errorf("%w: not one signature of a person", ErrAnswer)
	}
	return a, b, nil
}

// Answered verifies an answer to the invitation i of mine with its secret, and
// gives who answered. Errors wrap ErrAnswer.
func (p *Project) Answered(raw []byte, i chain.InviteID, secret [16]byte) (*chain.Account, error) {
	a, b, err := openAccept(raw)
	if err != nil {
		return nil, err
	}
	want, err := answerMAC(secret, p.ID(), i, p.me.Account.UID, a)
	if err != nil {
		return nil, err
	}
	if b.Project != p.ID() || b.Invite != i || !hmac.Equal(want, b.MAC) {
		return nil, fmt.Errorf("%w: by %s", ErrAnswer, a.UID.Short())
	}
	return a, nil
}

// Admit makes a, who answered the invitation, a member and uses it up.
func (p *Project) Admit(ctx context.Context, a *chain.Account, i chain.InviteID) error {
	v, ok := p.state.Invites[i]
	if !ok {
		return fmt.Errorf("%w: %s", chain.ErrInvite, i)
	}
	return p.add(ctx, a, v.Role, i)
}
