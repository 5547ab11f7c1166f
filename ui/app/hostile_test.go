package app

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
	"cipherdeck/remote/hostile"
	"cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
	"cipherdeck/vault/project"
)

// lied is a person with a project on a server that can be made to lie.
type lied struct {
	*App
	liar hostile.Liar
	code api.Code
}

func underLiar(t *testing.T) *lied {
	t.Helper()
	l := &lied{App: openedApp(t, "alice")}
	s := remotetest.Start(t, server.Options{Config: remotetest.Config(t.TempDir()), Wrap: l.liar.Wrap})
	code, err := api.ParseCode(s.Code())
	if err != nil {
		t.Fatal(err)
	}
	l.code = code
	l.pin(t, l.App)
	if _, err := l.NewProject(t.Context(), "ward", "main"); err != nil {
		t.Fatal(err)
	}
	if err := l.add(t, "a.csv"); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lied) pin(t *testing.T, a *App) {
	t.Helper()
	if _, err := a.AddServer("main", l.code, nil, 0, 0); err != nil {
		t.Fatal(err)
	}
}

// add puts a small table into the project.
func (l *lied) add(t *testing.T, name string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("a,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := l.Project(t.Context(), "ward")
	if err != nil {
		return err
	}
	_, err = l.AddFile(t.Context(), p, path, project.Dataset, progress.Discard{})
	return err
}

// look opens the project and reads all of an item.
func (l *lied) look(ctx context.Context) error { return l.lookThen(ctx, nil) }

// lookThen is look, with a lie that begins when the project is open.
func (l *lied) lookThen(ctx context.Context, lie hostile.Lie) error {
	p, err := l.Project(ctx, "ward")
	if err != nil {
		return err
	}
	if lie != nil {
		l.liar.Tell(lie)
	}
	if err := p.Damage(); err != nil {
		return err
	}
	it, err := p.Item("a.csv")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := p.Read(ctx, it, &out, progress.Discard{}); err != nil {
		return err
	}
	if out.String() != "a,b\n1,2\n" {
		return errors.New("it was given other rows")
	}
	return nil
}

// pinned is everything that the vault holds fast.
func (l *lied) pinned(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(l.Home(), VaultFile))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHostileServer tells lies, one at a time, to the use-cases themselves. Each has
// its own error, none is accepted, and the vault is byte for byte what it was.
// After each the server is honest again and everything works.
func TestHostileServer(t *testing.T) {
	l := underLiar(t)
	const head, blob = "/head", "/blobs/"
	get := func(part string, lie hostile.Lie) hostile.Lie { return hostile.On("GET", part, lie) }
	for _, c := range []struct {
		name string
		lie  hostile.Lie
		want error
	}{
		{"head with a bit flipped", get(head, hostile.Changed(hostile.Flipped)), chain.ErrLink},
		{"head cut", get(head, hostile.Changed(hostile.Cut)), chain.ErrLink},
		{"no head", get(head, hostile.Gone), api.ErrNotFound},
		{"connection dropped at the head", get(head, hostile.Dropped), api.ErrUnreachable},
		{"endless head", get(head, hostile.Endless(0)), api.ErrServer},
		{"blob with a bit flipped", get(blob, hostile.Changed(hostile.Flipped)), api.ErrDamaged},
		{"blob cut", get(blob, hostile.Changed(hostile.Cut)), api.ErrDamaged},
		{"blobs in another order", get(blob, hostile.Reordered()), api.ErrDamaged},
		{"blobs withheld", get(blob, hostile.Gone), project.ErrDamaged},
		{"connection dropped at a blob", get(blob, hostile.Dropped), api.ErrUnreachable},
		{"endless blob", get(blob, hostile.Endless(0)), api.ErrServer},
		{"blob longer than any", get(blob, hostile.Endless(1<<40)), project.ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := l.pinned(t)
			l.liar.Tell(c.lie)
			err := l.look(t.Context())
			l.liar.Tell(nil)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if !bytes.Equal(before, l.pinned(t)) {
				t.Error("the vault holds something else than before")
			}
			if err := l.look(t.Context()); err != nil {
				t.Errorf("honest again: %v", err)
			}
		})
	}
}

// TestHostilePieces lies about the bytes of an item alone, in a project that was
// opened honestly.
func TestHostilePieces(t *testing.T) {
	l := underLiar(t)
	for name, c := range map[string]struct {
		lie  hostile.Lie
		want error
	}{
		"a bit flipped": {hostile.Changed(hostile.Flipped), api.ErrDamaged},
		"cut":           {hostile.Changed(hostile.Cut), api.ErrDamaged},
		"withheld":      {hostile.Gone, project.ErrDamaged},
		"another blob":  {hostile.Changed(func([]byte) []byte { return []byte("something else") }), api.ErrDamaged},
		"empty":         {hostile.Changed(func([]byte) []byte { return nil }), api.ErrDamaged},
	} {
		before, err := l.projectRecord("ward") // opening honestly saves the vault anew
		if err != nil {
			t.Fatal(err)
		}
		err = l.lookThen(t.Context(), hostile.On("GET", "/blobs/", c.lie))
		l.liar.Tell(nil)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if after, err := l.projectRecord("ward"); err != nil || after != before {
			t.Errorf("%s: the vault holds %+v, %v; before %+v", name, after, err, before)
		}
	}
	if err := l.look(t.Context()); err != nil {
		t.Errorf("honest again: %v", err)
	}
}

func isAny(err error, want []error) bool {
	for _, w := range want {
		if errors.Is(err, w) {
			return true
		}
	}
	return false
}

// TestSilentServer gives up when its caller does.
func TestSilentServer(t *testing.T) {
	l := underLiar(t)
	before := l.pinned(t)
	for _, path := range []string{"/head", "/blobs/"} {
		l.liar.Tell(hostile.On("GET", path, hostile.Silent))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := l.look(ctx)
		cancel()
		if !isAny(err, []error{context.DeadlineExceeded, api.ErrUnreachable}) {
			t.Errorf("%s: %v", path, err)
		}
	}
	l.liar.Tell(nil)
	if !bytes.Equal(before, l.pinned(t)) {
		t.Error("the vault holds something else than before")
	}
}

// TestOldHeads serves what it served first, for ever: the rollback is named, and
// what was pinned stays.
func TestOldHeads(t *testing.T) {
	l := underLiar(t)
	l.liar.Tell(hostile.On("GET", "/head", hostile.Old()))
	if err := l.look(t.Context()); err != nil {
		t.Fatal(err) // the first answer, which is repeated from now on
	}
	l.liar.Tell(nil)
	old := hostile.Old()
	l.liar.Tell(hostile.On("GET", "/head", old))
	if err := l.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.liar.Tell(nil)
	if err := l.add(t, "b.csv"); err != nil {
		t.Fatal(err)
	}
	before := l.pinned(t)
	l.liar.Tell(hostile.On("GET", "/head", old))
	if err := l.look(t.Context()); !errors.Is(err, project.ErrRollback) {
		t.Errorf("old head: %v", err)
	}
	if !bytes.Equal(before, l.pinned(t)) {
		t.Error("the pin went back")
	}
}

// record is the head that is pinned of the project.
func (l *lied) record(t *testing.T) (head id.ID) {
	t.Helper()
	all, err := l.Projects()
	if err != nil || len(all) != 1 {
		t.Fatal(len(all), err)
	}
	r, err := l.projectRecord(all[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	return r.head
}

// TestForkedHeads shows alice a continuation that bob never gets, and bob's to her
// then.
func TestForkedHeads(t *testing.T) {
	l := underLiar(t)
	other := New(Config{Home: t.TempDir(), NoKeyring: true})
	t.Cleanup(other.Close)
	if err := os.WriteFile(filepath.Join(other.Home(), VaultFile), l.pinned(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Unlock(t.Context(), func(context.Context) ([]byte, error) { return []byte("correct horse battery"), nil }); err != nil {
		t.Fatal(err)
	}
	second := &lied{App: other}
	var fork hostile.Forked
	l.liar.Tell(hostile.On("PUT", "/head", fork.Take))
	// A server that keeps a change for itself cannot promise that its journal
	// will have it, unless it has the journal's key: then two heads are promised,
	// which vault/project's TestForkIsFoundByWords and the journal's tests play.
	if err := second.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	hers := second.record(t)
	if err := second.add(t, "hers.csv"); !errors.Is(err, api.ErrServer) {
		t.Fatalf("the forked side: %v", err)
	}
	if second.record(t) != hers {
		t.Error("a head that nobody promised was pinned")
	}
	l.liar.Tell(nil)
	if err := l.add(t, "his.csv"); err != nil {
		t.Fatal(err)
	}
	before := l.pinned(t)
	l.liar.Tell(hostile.On("GET", "/head", fork.Show))
	if err := l.look(t.Context()); !isAny(err, []error{project.ErrFork, project.ErrRollback}) {
		t.Errorf("the fork is shown: %v", err)
	}
	if !bytes.Equal(before, l.pinned(t)) {
		t.Error("the fork was pinned")
	}
	l.liar.Tell(nil)
	if err := second.look(t.Context()); err != nil {
		t.Errorf("the honest head is shown to her: %v", err)
	}
}

// TestSwappedAccount gives out the keys of somebody else under a person's name.
func TestSwappedAccount(t *testing.T) {
	l := underLiar(t)
	people := map[string]*App{}
	for _, name := range []string{"bob", "mallory"} {
		a := openedApp(t, name)
		l.pin(t, a)
		if err := a.Enrol(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		people[name] = a
	}
	_, bob, err := people["bob"].opened()
	if err != nil {
		t.Fatal(err)
	}
	_, mallory, err := people["mallory"].opened()
	if err != nil {
		t.Fatal(err)
	}
	before := l.pinned(t)
	swap := func([]byte) []byte { return bytes.Clone(mallory.Account.Raw) }
	l.liar.Tell(hostile.On("GET", "/v1/accounts/"+bob.Account.UID.String(), hostile.Changed(swap)))
	if _, err := l.Meet(t.Context(), "main", bob.Account.UID, ""); !isAny(err, []error{api.ErrDamaged, chain.ErrAccount, doc.ErrEncoding}) {
		t.Errorf("swapped keys: %v", err)
	}
	if !bytes.Equal(before, l.pinned(t)) {
		t.Error("somebody else's keys are in the vault")
	}
}

// TestLostAnswer does what was asked and drops the answer: no item is lost, none is
// there twice.
func TestLostAnswer(t *testing.T) {
	l := underLiar(t)
	l.liar.Tell(hostile.On("PUT", "/head", hostile.DroppedAfter))
	err := l.add(t, "b.csv")
	l.liar.Tell(nil)
	if err != nil && !isAny(err, []error{api.ErrUnknown, api.ErrUnreachable}) {
		t.Errorf("a lost answer: %v", err)
	}
	p, err := l.Project(t.Context(), "ward")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Items()); n != 2 {
		t.Errorf("%d items", n)
	}
}

// TestPromiseOfSomethingElse takes a change and promises to record another document,
// or nothing: what was sent could be forgotten then, with no proof that it was there.
func TestPromiseOfSomethingElse(t *testing.T) {
	l := underLiar(t)
	if _, err := l.App.look(t.Context(), "main"); err != nil { // pins the key of the journal
		t.Fatal(err)
	}
	var old string
	l.liar.Tell(hostile.On("PUT", "/head", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		old = w.Header().Get(api.HeaderPromise)
	}))
	if err := l.add(t, "b.csv"); err != nil || old == "" {
		t.Fatalf("honest: %v, promise %q", err, old)
	}
	for name, c := range map[string]struct {
		promise string
		err     error
	}{"none": {"", api.ErrServer}, "of an earlier change": {old, tlog.ErrPromise}} {
		l.liar.Tell(hostile.On("PUT", "/head", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(promising{w, c.promise}, r)
		}))
		if err := l.add(t, name+".csv"); !errors.Is(err, c.err) {
			t.Errorf("promise %s: %v", name, err)
		}
	}
}

// promising puts another promise into an answer.
type promising struct {
	http.ResponseWriter
	promise string
}

// WriteHeader sends it.
func (p promising) WriteHeader(status int) {
	if p.Header().Del(api.HeaderPromise); p.promise != "" {
		p.Header().Set(api.HeaderPromise, p.promise)
	}
	p.ResponseWriter.WriteHeader(status)
}
