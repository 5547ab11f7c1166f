package chain

import (
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// Start signs the genesis link of a new project. author's device of key needs an
// ML-DSA key in his account; b.Owner is the author's own account genesis. The
// result is verified as a reader would.
func Start(b GenesisBody, author *Account, key Key, now time.Time) ([]byte, *State, error) {
	l := Link{Epoch: 1, Kind: KindGenesis, Author: author.UID, Account: author.Head}
	if len(author.Links) > 0 {
		l.Accounts = []News{{UID: author.UID, Links: author.Links}}
	}
	raw, err := first(b, author).seal(l, b, key, now)
	if err != nil {
		return nil, nil, err
	}
	s, err := Begin(raw)
	return raw, s, err
}

// Extend signs the link that does kind with body after s. Account links that
// author has and s does not yet go along. What the author may not do is refused
// here already, with the errors of Next.
func (s *State) Extend(kind string, body any, author *Account, key Key, now time.Time) ([]byte, *State, error) {
	return s.ExtendWith(kind, body, author, key, nil, now)
}

// ExtendWith is Extend with account links of other members.
func (s *State) ExtendWith(kind string, body any, author *Account, key Key, others []*Account, now time.Time) ([]byte, *State, error) {
	enc, err := doc.Encode(body)
	if err != nil {
		return nil, nil, err
	}
	l := Link{V: linkV2, Project: s.Project, Seq: s.Seq + 1, Prev: s.Head, Author: author.UID, Kind: kind, Body: enc,
		Time: now.UnixMilli(), Account: author.Head, Accounts: s.news(append([]*Account{author}, others...))}
	if l.Device, err = key.ID(); err != nil {
		return nil, nil, err
	}
	n := s.clone()
	if _, err := n.author(&l); err != nil {
		return nil, nil, err
	}
	if err := n.apply(&l, s); err != nil {
		return nil, nil, err
	}
	l.Epoch = n.Epoch().Number
	raw, err := n.seal(l, body, key, now)
	if err != nil {
		return nil, nil, err
	}
	next, err := s.Next(raw)
	return raw, next, err
}

// news are the links of accounts that s does not have yet, by ascending UID.
func (s *State) news(accounts []*Account) []News {
	have := map[UID]News{}
	for _, a := range accounts {
		if m, ok := s.Members[a.UID]; ok && a.Seq > m.Account.Seq {
			have[a.UID] = News{UID: a.UID, Links: a.Links[m.Account.Seq:]}
		}
	}
	var out []News
	for _, u := range SortedUIDs(have) {
		out = append(out, have[u])
	}
	return out
}

// seal completes l for the state s that it leads to, and signs it.
func (s *State) seal(l Link, body any, key Key, now time.Time) (_ []byte, err error) {
	if l.Root, err = s.Root(); err != nil {
		return nil, err
	}
	if l.Body, err = doc.Encode(body); err != nil {
		return nil, err
	}
	if l.Device, err = key.ID(); err != nil {
		return nil, err
	}
	l.V, l.Time = linkV2, now.UnixMilli()
	return doc.Sign(LinkType, l, key.signers(strong(l.Kind))...)
}

// GrantID is the id under which Extend(KindGrant, b, …) will be found.
func GrantID(b GrantBody) (id.ID, error) { return BodyID(b) }
