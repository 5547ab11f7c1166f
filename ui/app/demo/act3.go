package demo

import (
	"context"
	"errors"
	"fmt"

	"cipherdeck/attest"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

// actAttest pins whose manifests Alice accepts, and has the server prove what
// it runs.
func actAttest(ctx context.Context, s *Stage, t *teller, sink progress.Sink) error {
	if err := s.pin(s.Alice, true); err != nil {
		return err
	}
	t.say(Info, "server add %s", s.code)
	t.say(Info, "pinned in the vault: key, manifest signer %s… (demo signer), root software", app.SignerText(s.signers()[0])[:12])
	if err := s.changedPin(t); err != nil {
		return err
	}
	sink.Phase("challenge, quote, verify", 0, progress.None)
	v, err := s.Alice.Attest(ctx, ServerName)
	if v != nil {
		t.chain(v)
	}
	if err != nil {
		return err
	}
	t.figure("root", v.Root.String())
	t.figure("verdict", v.Word())
	t.figure("manifest_version", v.Version)
	if err := t.must(v.Word() == "demo", "verdict: %s; a software TPM is never more than that", v.Word()); err != nil {
		return err
	}
	t.say(Info, "the manifest was made for exactly this program and is signed by the demo signer")
	return nil
}

// changedPin shows that a pin, once made, cannot be changed.
func (s *Stage) changedPin(t *teller) error {
	other := s.code
	other.Pin[0] ^= 1
	_, err := s.Alice.AddServer(ServerName, other, s.signers(), 0, attest.RootSoftware)
	return t.must(errors.Is(err, app.ErrPin), "another key for the same server is a hard stop")
}

// chain writes the links of a verdict as lines.
func (t *teller) chain(v *attest.Verdict) {
	counts := map[string]int{}
	for _, l := range v.Links {
		counts[l.State.String()]++
		t.say(Info, "%s %-11s %-19s %s", l.State.Glyph(), l.State, l.ID, l.Claim)
		if l.State == attest.Fail {
			t.say(Info, "    %s", l.Found)
		}
	}
	t.figure("links", counts)
	t.say(Info, "root: %s", v.Root)
}

// broken checks that a verdict was refused at one link, for one event.
func broken(v *attest.Verdict, err error, link string) (*attest.Link, error) {
	if v == nil || !errors.Is(err, attest.ErrRefused) {
		return nil, fmt.Errorf("%w: the evidence was not refused: %v", ErrDemo, err)
	}
	b := v.Broken()
	if b == nil || b.ID != link {
		return nil, fmt.Errorf("%w: it broke at %v, not at %s", ErrDemo, b, link)
	}
	return b, nil
}
