package demo

import (
	"os"
	"testing"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/vault/project"
)

// A server that shows two clients different continuations of one project: the
// one that saw more must notice when it is shown the other.
func TestAct6_ForkIsSeen(t *testing.T) {
	s := stage(t, 2)
	s.server.stop()
	old := s.path("old")
	if err := os.CopyFS(old, os.DirFS(s.config.DataDir)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(s.path("alice", app.VaultFile))
	if err != nil {
		t.Fatal(err)
	}
	add := func(a *app.App, name string) {
		t.Helper()
		path := s.path("alice", name)
		if err := os.WriteFile(path, []byte("a,b\n1,2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := a.Project(t.Context(), ProjectName)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.AddFile(t.Context(), p, path, project.Dataset, progress.Discard{}); err != nil {
			t.Fatal(err)
		}
	}
	restart(t, s)
	add(s.Alice, "one.csv")
	// The operator restores the backup, and another device of alice's, which
	// has not seen one.csv, goes on from there.
	s.server.stop()
	if err := os.RemoveAll(s.config.DataDir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, s.config.DataDir); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	home := t.TempDir()
	if err := os.WriteFile(home+"/"+app.VaultFile, before, 0o600); err != nil {
		t.Fatal(err)
	}
	other := app.New(app.Config{Home: home, NoKeyring: true})
	defer other.Close()
	if _, err := other.Unlock(t.Context(), s.passphrase); err != nil {
		t.Fatal(err)
	}
	add(other, "two.csv")
	add(other, "three.csv")
	_, err = s.Alice.Project(t.Context(), ProjectName)
	if f := app.Explain(err); err == nil || f.Exit != app.ExitDamaged || f.Code != "fork" {
		t.Errorf("explained as %+v", f)
	}
}
