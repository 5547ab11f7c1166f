package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/vault/project"
)

// ErrNodeKey is wrapped when a node was granted jobs for a key of its TPM, and
// has another one now.
var ErrNodeKey = errors.New("the node has another key than it was granted with")

// NotAttested is Outcome.Verdict of a node of which nothing is asked.
const NotAttested = "not attested"

// proveNode makes the node of a job prove itself before anything of the job is
// encrypted or sent, and says under which grant it is: see proven.
func (a *App) proveNode(ctx context.Context, p *project.Project, at Where, model id.ID, out *Outcome) (chain.Grant, error) {
	carry, err := a.carry(ctx, p, at.Node.UID)
	if err != nil {
		return chain.Grant{}, err
	}
	return a.proven(ctx, p.ID().String(), at, model, carry, out)
}

// proven picks the grant for a job with model.
//
// Grants for a key of the node's TPM come before plain ones. Then the node is
// attested, must be good and not held, and must have the key and the attestation
// key of a grant: a plain grant beside it does not let a job go to a machine
// that was changed or restarted. Under a plain grant alone a node is attested
// that this vault attested before; of any other nothing is asked.
func (a *App) proven(ctx context.Context, pid string, at Where, model id.ID, carry channel.Carry, out *Outcome) (chain.Grant, error) {
	name := NodeName(at.Node.UID)
	keyed := len(at.Grants[0].Key) > 0
	known := a.judgedBefore(name)
	if known {
		if err := a.held(name); err != nil {
			return chain.Grant{}, err
		}
	}
	if !keyed && !known {
		out.Verdict = NotAttested
		return choose(at.Grants, model, nil)
	}
	v, err := a.attestNode(ctx, pid, at.Node, carry)
	if v != nil {
		out.Verdict, out.Subject, out.First = v.Word(), v.Subject, !known
	}
	if err != nil {
		return chain.Grant{}, err
	}
	if err := a.held(name); err != nil { // by that very verdict
		return chain.Grant{}, err
	}
	if !keyed {
		return choose(at.Grants, model, nil)
	}
	return choose(at.Grants, model, v)
}

// judgedBefore reports whether this vault has a verdict on a machine.
func (a *App) judgedBefore(name string) bool {
	p, _, err := a.pin(name)
	return err == nil && len(p.Machine.History) > 0
}

// choose picks the first grant that lets the machine of v, or with nil any
// machine, run a job with model. A plain grant is for no machine in particular.
// Errors wrap ErrNodeKey or chain.ErrGrant.
func choose(grants []chain.Grant, model id.ID, v *attest.Verdict) (chain.Grant, error) {
	var wrong error
	for _, g := range grants {
		if v != nil {
			if err := sameKey(g, v); err != nil {
				wrong = cmp.Or(wrong, err)
				continue
			}
		}
		if g.Allows(model) {
			return g, nil
		}
		wrong = fmt.Errorf("%w: grant %s is for other models than %s; an admin can grant the node for it", chain.ErrGrant, g.ID.Short(), model.Short())
	}
	return chain.Grant{}, wrong
}

// sameKey holds the machine of v against the keys of a grant.
func sameKey(g chain.Grant, v *attest.Verdict) error {
	switch key := channel.JobKeyOf(v); {
	case !bytes.Equal(g.AKName, v.AKName):
		return fmt.Errorf("%w: %s has attestation key %s, grant %s is for %s", ErrNodeKey, v.Subject, attest.Short(v.AKName), g.ID.Short(), attest.Short(g.AKName))
	case key == nil:
		return fmt.Errorf("%w: %s shows no key that its TPM holds, grant %s is for %s", ErrNodeKey, v.Subject, g.ID.Short(), attest.Short(g.Key))
	case !bytes.Equal(g.Key, key):
		return fmt.Errorf("%w: %s restarted since grant %s: its key was %s, now %s", ErrNodeKey, v.Subject, g.ID.Short(), attest.Short(g.Key), attest.Short(key))
	}
	return nil
}
