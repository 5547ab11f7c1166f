package app

import (
	"context"
	"errors"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
)

// granted is a grant to the machine that w runs on now.
func (w *worker) granted(name byte, models ...id.ID) chain.Grant {
	return chain.Grant{ID: id.ID{name}, Node: w.acc, NotAfter: time.Unix(1<<40, 0), Key: w.point, AKName: w.ak, Models: models}
}

func (w *worker) plain(name byte) chain.Grant {
	return chain.Grant{ID: id.ID{name}, Node: w.acc, NotAfter: time.Unix(1<<40, 0)}
}

// inquiry counts the questions that go to a node.
type inquiry struct {
	w *worker
	n int
}

func (q *inquiry) carry(ctx context.Context, kind string, body []byte) ([]byte, error) {
	q.n++
	return q.w.Answer(ctx, kind, body)
}

func (q *inquiry) prove(t *testing.T, a *App, model id.ID, grants ...chain.Grant) (id.ID, *Outcome, error) {
	t.Helper()
	out := new(Outcome)
	g, err := a.proven(t.Context(), wardID, Where{Server: "main", Node: q.w.acc, Grants: grants}, model, q.carry, out)
	return g.ID, out, err
}

// TestNodeProvesBeforeEachJob: under a grant for a key the node is asked every
// time; a node that restarted, has another key, or is held gets no job.
func TestNodeProvesBeforeEachJob(t *testing.T) {
	signer := newKey(t)
	a, q := asker(t, signer), &inquiry{w: newWorker(t, signer)}
	w, name, model := q.w, NodeName(q.w.acc.UID), id.ID{42}
	w.starts(t, 1, 1, "honest")
	first := w.granted(1)
	for n := range 2 {
		before := q.n
		i, out, err := q.prove(t, a, model, first, w.plain(9))
		if err != nil || i != first.ID || out.Verdict != "demo" || out.Subject != called(name) || out.First != (n == 0) || q.n == before {
			t.Fatalf("job %d: %v, %+v, asked %d", n, err, out, q.n)
		}
	}

	// The same machine in the same state after a restart: another key.
	w.starts(t, 1, 2, "honest")
	if i, out, err := q.prove(t, a, model, first, w.plain(9)); !errors.Is(err, ErrNodeKey) || !i.IsZero() || out.Verdict != "demo" || Explain(err).Exit != ExitRefused {
		t.Fatalf("restarted: %v, %v", i, err)
	}
	if a.held(name) != nil {
		t.Error("a restart is a reason to look, not to suspend")
	}
	second := w.granted(2)
	if i, _, err := q.prove(t, a, model, first, second); err != nil || i != second.ID {
		t.Fatalf("granted again: %v %v", i, err)
	}

	// A grant that somebody made for another machine.
	other := second
	other.AKName = []byte("another")
	if _, _, err := q.prove(t, a, model, other); !errors.Is(err, ErrNodeKey) {
		t.Errorf("another attestation key: %v", err)
	}

	// Models.
	only := w.granted(3, id.ID{41})
	if _, _, err := q.prove(t, a, model, only); !errors.Is(err, chain.ErrGrant) {
		t.Errorf("another model: %v", err)
	}
	if i, _, err := q.prove(t, a, id.ID{41}, only, first); err != nil || i != only.ID {
		t.Errorf("its model: %v", err)
	}

	// Changed: refused, and held until a person resumed it, under every grant.
	w.starts(t, 1, 3, "changed")
	if _, out, err := q.prove(t, a, model, w.granted(4)); !errors.Is(err, attest.ErrRefused) || out.Verdict != "REFUSED" {
		t.Fatalf("changed: %v", err)
	}
	w.starts(t, 1, 4, "honest")
	for what, g := range map[string]chain.Grant{"attested": w.granted(5), "plain": w.plain(6)} {
		before := q.n
		if _, _, err := q.prove(t, a, model, g); !errors.Is(err, ErrHeld) || Explain(err).Exit != ExitRefused || q.n != before {
			t.Errorf("%s grant of a held node: %v", what, err)
		}
	}
	if _, err := a.Resume(name); err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.prove(t, a, model, w.granted(5)); err != nil {
		t.Errorf("resumed: %v", err)
	}
}

// TestDriftOfThisVerdict: the very verdict before a job suspends it, although it
// is good.
func TestDriftOfThisVerdict(t *testing.T) {
	signer := newKey(t)
	a, q := asker(t, signer), &inquiry{w: newWorker(t, signer)}
	q.w.starts(t, 1, 1, "honest")
	if _, _, err := q.prove(t, a, id.ID{}, q.w.granted(1)); err != nil {
		t.Fatal(err)
	}
	q.w.moved = true
	q.w.starts(t, 1, 2, "honest")
	if _, out, err := q.prove(t, a, id.ID{}, q.w.granted(1)); !errors.Is(err, ErrHeld) || out.Verdict == "REFUSED" {
		t.Errorf("%v, %+v", err, out)
	}
}

// TestPlainGrant: nothing is asked of a node that nobody attested here; one that
// was attested must stay good.
func TestPlainGrant(t *testing.T) {
	signer := newKey(t)
	a, q := asker(t, signer), &inquiry{w: newWorker(t, signer)}
	q.w.starts(t, 1, 1, "honest")
	if i, out, err := q.prove(t, a, id.ID{}, q.w.plain(1)); err != nil || i != (id.ID{1}) || out.Verdict != NotAttested || q.n != 0 {
		t.Fatalf("%v, %+v, asked %d", err, out, q.n)
	}
	if _, err := a.attestNode(t.Context(), wardID, q.w.acc, q.w.Answer); err != nil {
		t.Fatal(err)
	}
	if _, out, err := q.prove(t, a, id.ID{}, q.w.plain(1)); err != nil || out.Verdict != "demo" || q.n == 0 {
		t.Fatalf("%v, %+v", err, out)
	}
	q.w.starts(t, 1, 2, "changed")
	if _, _, err := q.prove(t, a, id.ID{}, q.w.plain(1)); !errors.Is(err, attest.ErrRefused) {
		t.Fatal(err)
	}
}

// TestServerLiesBeforeJob: evidence of another machine, or of before, lets no
// job go.
func TestServerLiesBeforeJob(t *testing.T) {
	signer := newKey(t)
	q, other := &inquiry{w: newWorker(t, signer)}, newWorker(t, signer)
	q.w.starts(t, 1, 1, "honest")
	other.starts(t, 2, 1, "honest")
	var old []byte
	if _, err := asker(t, signer).attestNode(t.Context(), wardID, q.w.acc, func(ctx context.Context, kind string, body []byte) ([]byte, error) {
		raw, err := q.w.Answer(ctx, kind, body)
		if kind == channel.KindAttest {
			old = raw
		}
		return raw, err
	}); err != nil {
		t.Fatal(err)
	}
	for what, lie := range map[string]channel.Carry{
		"another node": other.Answer,
		"an older one": func(context.Context, string, []byte) ([]byte, error) { return old, nil },
		"nothing":      func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("withheld") },
	} {
		out := new(Outcome)
		g, err := asker(t, signer).proven(t.Context(), wardID, Where{Node: q.w.acc, Grants: []chain.Grant{q.w.granted(1)}}, id.ID{}, lie, out)
		if err == nil || !g.ID.IsZero() || out.Verdict == "demo" {
			t.Errorf("%s: %v, %+v", what, err, out)
		}
	}
}
