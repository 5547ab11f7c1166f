package chain

import (
	"crypto/ed25519"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// Start signs the genesis link of a new project. b.Owner is the author's own
// account genesis. The result is verified as a reader would.
func Start(b GenesisBody, author *Account, device ed25519.PrivateKey, now time.Time) ([]byte, *State, error) {
	s := &State{Nonce: b.Nonce, Epochs: []Epoch{b.Epoch}, Members: map[UID]Member{author.UID: {Account: author, Role: Owner}}}
	raw, err := s.seal(Link{Epoch: 1, Kind: KindGenesis, Author: author.UID}, b, device, now)
	if err != nil {
		return nil, nil, err
	}
	s, err = Begin(raw)
	return raw, s, err
}

// Extend signs the link that does kind with body after s. What the author may
// not do is refused here already, with the errors of Next.
func (s *State) Extend(kind string, body any, author UID, device ed25519.PrivateKey, now time.Time) ([]byte, *State, error) {
	enc, err := doc.Encode(body)
	if err != nil {
		return nil, nil, err
	}
	l := Link{Project: s.Project, Seq: s.Seq + 1, Prev: s.Head, Author: author, Kind: kind, Body: enc}
	n := s.clone()
	if err := n.apply(&l, s.Members[author].Role); err != nil {
		return nil, nil, err
	}
	l.Epoch = n.Epoch().Number
	raw, err := n.seal(l, body, device, now)
	if err != nil {
		return nil, nil, err
	}
	next, err := s.Next(raw)
	return raw, next, err
}

// seal completes l for the state s that it leads to, and signs it.
func (s *State) seal(l Link, body any, device ed25519.PrivateKey, now time.Time) ([]byte, error) {
	root, err := s.Root()
	if err != nil {
		return nil, err
	}
	if l.Body, err = doc.Encode(body); err != nil {
		return nil, err
	}
	l.V, l.Time, l.Root = 1, now.UnixMilli(), root
	return doc.Sign(LinkType, l, device)
}

// GrantID is the id under which Extend(KindGrant, b, …) will be found.
func GrantID(b GrantBody) (id.ID, error) {
	enc, err := doc.Encode(b)
	return id.Of(enc), err
}
