package project

import (
	"fmt"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/seal"
)

// ColumnKey is the key called name for column rules on tables of the project:
// tokens, encrypted cells, encrypted Parquet. It is derived from the key of the
// first epoch, which everybody who may read the project reaches from his own
// epoch backwards. So it is the same for all of them, also for who joins later,
// and stays the same when somebody is removed: the tokens of two tables must
// still join.
//
// The price: whoever was a member once, and kept the key, has it for ever. A
// removal does not change it; another name does not help, since all names are
// derived from the same key. Nodes never get it: a grant carries no key. The
// error wraps ErrNoKey for an auditor; a name is one that chain.CheckName takes.
func (p *Project) ColumnKey(name string) ([32]byte, error) {
	if err := chain.CheckName(name); err != nil {
		return [32]byte{}, err
	}
	first, err := p.keys.key(p.state.Epochs[0].Number)
	if err != nil {
		return [32]byte{}, fmt.Errorf("column key %q: %w", name, err)
	}
	return subkey(first, "columns/"+name)
}

// Recipient is everybody who can read the project now or joins it later, as a
// recipient of a container. The error wraps ErrNoKey for an auditor.
func (p *Project) Recipient() (seal.Recipient, error) {
	n := p.state.Epoch().Number
	k, err := p.keys.key(n)
	if err != nil {
		return nil, err
	}
	return seal.Epoch(p.ID(), n, k), nil
}

// Identities open containers that are sealed to epochs of the project, all
// that this member reaches.
func (p *Project) Identities() []seal.Identity {
	var out []seal.Identity
	for _, e := range p.state.Epochs {
		if k, err := p.keys.key(e.Number); err == nil {
			out = append(out, seal.Epoch(p.ID(), e.Number, k))
		}
	}
	return out
}
