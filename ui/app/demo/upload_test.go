package demo

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/vault/project"
)

// killAt kills a process when enough bytes have passed.
type killAt struct {
	progress.Discard
	left int64
	c    *child
}

func (k *killAt) Add(n int64) {
	if k.left -= n; k.left <= 0 && k.c != nil {
		k.c.cmd.Process.Kill()
		<-k.c.done
		k.c = nil
	}
}

// The server is killed in the middle of an upload: the command fails and says
// so, nothing half is listed, and repeating it adds the file, identical.
func TestServerKilledMidUpload(t *testing.T) {
	s := stage(t, 2)
	body := make([]byte, 12<<20+5)
	rand.Read(body)
	path := s.path("alice", "scan.bin")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.Alice.AddFile(t.Context(), s.project, path, project.Artifact, &killAt{left: 5 << 20, c: s.server})
	if f := app.Explain(err); f.Code != "unreachable" || f.Exit != app.ExitUnreachable || f.Cure == "" {
		t.Fatalf("explained as %+v", f)
	}
	restart(t, s)
	before := blobFiles(t, s)
	p, err := s.Alice.Project(t.Context(), ProjectName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Item("scan.bin"); err == nil {
		t.Error("half an item is listed")
	}
	it, err := s.Alice.AddFile(t.Context(), p, path, project.Artifact, progress.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	// What was sent the first time is not sent again.
	after := blobFiles(t, s)
	ids, err := p.PieceIDs(t.Context(), it)
	if err != nil {
		t.Fatal(err)
	}
	there := 0
	for _, piece := range ids {
		if path := findBlob(t, after, piece); before[filepath.Base(path)] != "" {
			there++
		}
	}
	if there < 3 {
		t.Errorf("%d pieces were there before", there)
	}
	if grown := len(after) - len(before); grown != len(ids)-there+4 {
		t.Errorf("%d new blobs, want %d: the other pieces, two shards, a root and a link", grown, len(ids)-there+4)
	}
	all, err := readAll(t.Context(), s)
	if err != nil || !slices.Equal(all["scan.bin"], body) {
		t.Errorf("read back: %v", err)
	}
}
