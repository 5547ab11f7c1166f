package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cipherdeck/crypto/tlog"
	keep "cipherdeck/remote/journal"
	"cipherdeck/remote/server"
)

// TestForgottenIsNotLost: a body that was removed on purpose raises no alert when
// the store has the document no more; one that merely went away does.
func TestForgottenIsNotLost(t *testing.T) {
	for _, onPurpose := range []bool{true, false} {
		s, _, _ := full(t)
		origin := logKey(t, s.client).Name
		if err := s.srv.Close(); err != nil {
			t.Fatal(err)
		}
		tag := tlog.DocTag(s.node.Raw)
		dir := filepath.Join(s.cfg.DataDir, "journal")
		l, err := keep.Open(t.Context(), keep.Options{Dir: dir, Origin: origin})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Forget(tag); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if !onPurpose {
			marks, err := filepath.Glob(filepath.Join(dir, "bodies", "*", "*.forgotten"))
			if err != nil || len(marks) != 1 {
				t.Fatal(marks, err)
			}
			if err := os.Remove(marks[0]); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(filepath.Join(s.cfg.DataDir, "store")); err != nil {
			t.Fatal(err)
		}
		rep, err := server.Rebuild(t.Context(), s.cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Contains(strings.Join(rep.Lost, "\n"), tlog.ActAccount+" "+tag.Short())
		if said == onPurpose {
			t.Errorf("on purpose: %v, lost: %q", onPurpose, rep.Lost)
		}
	}
}
