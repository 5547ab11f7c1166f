package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
	"cipherdeck/remote/journal"
	"cipherdeck/remote/server"
	"cipherdeck/vault"
)

// logged is an App with a project on a server that it may be cheated by.
type logged struct {
	*App
	cfg   server.Config
	srv   *server.Server
	later time.Duration // how far the clock of the App is ahead
}

func newLogged(t *testing.T) *logged {
	t.Helper()
	l := &logged{cfg: server.DefaultConfig()}
	l.cfg.Listen, l.cfg.DataDir = "127.0.0.1:0", t.TempDir()
	l.serve(t)
	l.App = New(Config{Home: t.TempDir(), NoKeyring: true, Now: func() time.Time { return time.Now().Add(l.later) }})
	if _, err := l.InitVault(t.Context(), "alice", []byte("correct horse battery"), false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	code, err := api.ParseCode(l.srv.Code())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AddServer("main", code, nil, 0, attest.RootHardware); err != nil {
		t.Fatal(err)
	}
	if _, err := l.NewProject(t.Context(), "ward 7", "main"); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *logged) serve(t *testing.T) {
	t.Helper()
	s, err := server.Start(t.Context(), server.Options{Config: l.cfg, Checkpoints: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	l.srv, l.cfg.Listen = s, s.Addr()
}

// between stops the server, lets do change its journal, and starts it again.
func (l *logged) between(t *testing.T, do func(dir string)) {
	t.Helper()
	if err := l.srv.Close(); err != nil {
		t.Fatal(err)
	}
	do(filepath.Join(l.cfg.DataDir, "journal"))
	l.serve(t)
	l.retire(clientKey{"main", false})
}

// settled waits until all promises can be seen to be kept.
func (l *logged) settled(t *testing.T) {
	t.Helper()
	l.later = time.Minute
	for {
		_, err := l.look(t.Context(), "main")
		if errors.Is(err, ErrBroken) {
			continue // it is due by our clock, and promised a moment ago
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
}

func emptied(t *testing.T, dir string) {
	t.Helper()
	for _, part := range []string{"leaves", "tree", "bodies"} {
		if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPromisesAreSeenToBeKept, and are then kept no more.
func TestPromisesAreSeenToBeKept(t *testing.T) {
	l := newLogged(t)
	all, err := l.Promises("main")
	if err != nil || len(all) != 4 { // account, its first link, genesis, the first index
		t.Fatalf("%d promises, %v", len(all), err)
	}
	l.settled(t)
	if _, err := l.Journal(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if all, err = l.Promises("main"); err != nil || len(all) != 0 {
		t.Errorf("%d promises, %v", len(all), err)
	}
	if err := l.view(func(s vault.State) { all = make([]tlog.Promised, len(s.Servers["main"].Log.Promises)) }); err != nil || len(all) != 0 {
		t.Errorf("%d promises in the vault, %v", len(all), err)
	}
}

// TestHostileJournal is a server whose journal is not what it was.
func TestHostileJournal(t *testing.T) {
	t.Run("a promise is broken", func(t *testing.T) {
		l := newLogged(t)
		l.between(t, func(dir string) { emptied(t, dir) }) // all is accepted anew, as other leaves
		if _, err := l.Project(t.Context(), "ward 7"); err != nil && !errors.Is(err, ErrOldJournal) && !errors.Is(err, ErrSplit) {
			t.Errorf("before it is due: %v", err)
		}
		l.later = time.Minute
		if _, err := l.Project(t.Context(), "ward 7"); !errors.Is(err, ErrBroken) && !errors.Is(err, ErrOldJournal) && !errors.Is(err, ErrSplit) {
			t.Errorf("after: %v", err)
		}
	})
	t.Run("an earlier day", func(t *testing.T) {
		l := newLogged(t)
		l.settled(t)
		l.between(t, func(dir string) { emptied(t, dir) })
		if _, err := l.Project(t.Context(), "ward 7"); !errors.Is(err, ErrOldJournal) && !errors.Is(err, ErrSplit) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another key", func(t *testing.T) {
		l := newLogged(t)
		l.settled(t)
		l.between(t, func(dir string) {
			emptied(t, dir)
			if err := os.Remove(filepath.Join(dir, "journal.key")); err != nil {
				t.Fatal(err)
			}
		})
		if _, err := l.Project(t.Context(), "ward 7"); !errors.Is(err, ErrPin) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("keys in my name", func(t *testing.T) {
		l := newLogged(t)
		l.settled(t)
		if c, err := l.CheckJournal(t.Context(), "main", progress.Discard{}); err != nil || len(c.Mine) != 2 || !c.Mine[0].Own || !c.Mine[1].Own {
			t.Fatalf("%+v, %v", c, err)
		}
		pin := l.srv.Pin()
		l.between(t, func(dir string) {
			j, err := journal.Open(context.Background(), journal.Options{Dir: dir, Origin: server.Origin(pin), Interval: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			_, err = j.Record(t.Context(), journal.Entry{Action: tlog.ActAccountLink, Object: tlog.Tag(tlog.KindAccount, l.me.Account.UID[:]), Body: []byte("another device")})
			if err := errors.Join(err, j.Close()); err != nil {
				t.Fatal(err)
			}
		})
		l.settled(t)
		for range 2 { // it is told until somebody does something about it
			c, err := l.CheckJournal(t.Context(), "main", progress.Discard{})
			if !errors.Is(err, ErrMine) || len(c.Mine) != 1 || c.Mine[0].Own {
				t.Errorf("%+v, %v", c, err)
			}
		}
	})
	t.Run("keys that are in no journal", func(t *testing.T) {
		l := newLogged(t)
		l.settled(t)
		stranger := openedApp(t, "bob")
		if _, err := l.accountRecorded(t.Context(), "main", stranger.me.Account); !errors.Is(err, ErrNotRecorded) {
			t.Errorf("got %v", err)
		}
	})
}
