package manifest

import (
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/tlog"
)

// Proven checks that the signed manifest is in the journal of p, by proof (a
// tlog.Bundle whose extra data is the leaf). With no policy nothing is demanded
// and nothing is checked. No proof, or one with fewer witnesses than the policy
// needs, fails; with none needed it warns, since a journal that nobody watches may be
// shown to one reader only.
func Proven(signed, proof []byte, p *tlog.Policy, now time.Time) (attest.State, string) {
	if p == nil {
		return attest.NotChecked, "no journal is pinned for this server"
	}
	if len(proof) == 0 {
		if p.Need > 0 { // giving no proof must not be better than giving a bad one
			return attest.Fail, fmt.Sprintf("the machine gave no inclusion proof, want one with %d cosignatures", p.Need)
		}
		return attest.Warn, "the machine gave no inclusion proof (a server that just started has none yet)"
	}
	v, err := proven(signed, proof, *p, now)
	switch {
	case err != nil:
		return attest.Fail, err.Error()
	case !v.Witnessed():
		return attest.Fail, fmt.Sprintf("in the journal of %s, %s", v.Origin, v.Word())
	case v.Need == 0:
		return attest.Warn, fmt.Sprintf("in the journal of %d leaves, %s", v.Size, v.Word())
	}
	return attest.Pass, fmt.Sprintf("in the journal of %d leaves, %s", v.Size, v.Word())
}

func proven(signed, proof []byte, p tlog.Policy, now time.Time) (tlog.Verdict, error) {
	b, err := tlog.ParseBundle(proof)
	if err != nil {
		return tlog.Verdict{}, err
	}
	leaf, err := tlog.OpenLeaf(b.Extra)
	if err != nil {
		return tlog.Verdict{}, err
	}
	if leaf.Action != tlog.ActManifest || leaf.Doc != tlog.DocTag(signed) {
		return tlog.Verdict{}, fmt.Errorf("%w: the leaf is of something else than this manifest", tlog.ErrProof)
	}
	return b.Verify(p, tlog.LeafHash(b.Extra), now)
}
