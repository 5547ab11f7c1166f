package demo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/remote/server"
	"cipherdeck/ui/app"
	"cipherdeck/vault"
	"cipherdeck/vault/project"
)

// This file breaks what each act shows, and demands that the act sees it: a
// green line that cannot turn red shows nothing.

// --- Act 1

func TestAct1_DamagedVaultDoesNotOpen(t *testing.T) {
	s := stage(t, 1)
	whole, err := os.ReadFile(s.path("alice", app.VaultFile))
	if err != nil {
		t.Fatal(err)
	}
	const samples = 24 // a try costs one run of Argon2id; package vault flips every bit with a cheap one
	for n := range samples {
		at := n * (len(whole) - 1) / (samples - 1)
		bad := bytes.Clone(whole)
		bad[at] ^= 1 << (n % 8)
		home := t.TempDir()
		if err := os.WriteFile(filepath.Join(home, app.VaultFile), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		a := app.New(app.Config{Home: home, NoKeyring: true})
		if _, err := a.Unlock(t.Context(), s.passphrase); err == nil {
			t.Errorf("byte %d of %d, bit %d: it opened", at, len(whole), n%8)
		}
		a.Close()
	}
}

// The wrong passphrase of the act made the right one: the act must fail.
func TestAct1_WrongPassphraseThatOpens(t *testing.T) {
	s := stage(t, 0)
	s.pass = "not the passphrase"
	r, err := act(t, s, 1)
	mustFail(t, "every passphrase opens", r, err)
}

func TestAct1_VaultThatIsThereAlready(t *testing.T) {
	s := stage(t, 1)
	r, err := act(t, s, 1)
	mustFail(t, "second vault in one place", r, err)
	if !errors.Is(err, vault.ErrExists) {
		t.Error(err)
	}
}

// --- Act 2

// needed are the blobs without which Alice cannot read what she stored.
func needed(s *Stage) []id.ID {
	st := s.project.State()
	out := []id.ID{st.Index, st.Epoch().Wraps}
	for _, it := range s.project.Items() {
		out = append(out, pieceIDs(s, it)...)
	}
	return out
}

// pieceIDs names the pieces of an item; none when they cannot be told.
func pieceIDs(s *Stage, it project.Item) []id.ID {
	ids, _ := s.project.PieceIDs(context.Background(), it)
	return ids
}

// readAll opens the project anew and reads every item.
func readAll(ctx context.Context, s *Stage) (map[string][]byte, error) {
	p, err := s.Alice.Project(ctx, ProjectName)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, it := range p.Items() {
		var b bytes.Buffer
		if err := p.Read(ctx, it, &b, progress.Discard{}); err != nil {
			return nil, err
		}
		out[it.Name] = b.Bytes()
	}
	return out, nil
}

// blobFiles are all blobs on the server's disk, by name.
func blobFiles(t *testing.T, s *Stage) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(filepath.Join(s.config.DataDir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out[d.Name()] = path
		}
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%d blobs: %v", len(out), err)
	}
	return out
}

func TestAct2_DamagedPiecesAreNotRead(t *testing.T) {
	s := stage(t, 2)
	want, err := readAll(t.Context(), s)
	if err != nil || len(want) != 2 {
		t.Fatalf("control: %d items, %v", len(want), err)
	}
	files := blobFiles(t, s)
	damage := func(name string, samples int, must bool) {
		path, ok := files[name]
		if !ok {
			t.Fatalf("there is no blob %s", name)
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := range samples {
			at := n * (len(whole) - 1) / max(samples-1, 1)
			bad := bytes.Clone(whole)
			bad[at] ^= 1 << (n % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readAll(t.Context(), s)
			if err == nil && (must || !equal(got, want)) {
				t.Errorf("blob %s, byte %d of %d, bit %d: it was read, must fail is %v", name[:8], at, len(whole), n%8, must)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, i := range needed(s) {
		name := filepath.Base(findBlob(t, files, i))
		names = append(names, name)
		damage(name, 40, true)
	}
	// The others are links of the chain and indexes that are not in force any
	// more: reading must fail or be right, never be wrong.
	for name := range files {
		if !slices.Contains(names, name) {
			damage(name, 4, false)
		}
	}
	if got, err := readAll(t.Context(), s); err != nil || !equal(got, want) {
		t.Errorf("control at the end: %v", err)
	}
}

func equal(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if !bytes.Equal(a[k], b[k]) {
			return false
		}
	}
	return true
}

func findBlob(t *testing.T, files map[string]string, i id.ID) string {
	t.Helper()
	for _, path := range files {
		if b, err := os.ReadFile(path); err == nil && id.Of(b) == i {
			return path
		}
	}
	t.Fatalf("blob %s is not on the disk", i)
	return ""
}

// Two pieces exchanged are each whole, and under the wrong name.
func TestAct2_ExchangedPiecesAreNotRead(t *testing.T) {
	s := stage(t, 2)
	files := blobFiles(t, s)
	items := s.project.Items()
	a, b := findBlob(t, files, pieceIDs(s, items[0])[0]), findBlob(t, files, pieceIDs(s, items[1])[0])
	for _, mv := range [][2]string{{a, a + ".x"}, {b, a}, {a + ".x", b}} {
		if err := os.Rename(mv[0], mv[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := readAll(t.Context(), s); err == nil {
		t.Error("it was read")
	}
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(t.Context(), s); err == nil {
		t.Error("a missing piece was read")
	}
}

// The head that the store keeps, changed on disk while the server is down.
func TestAct2_DamagedHeadIsNotRead(t *testing.T) {
	s := stage(t, 2)
	head, err := os.ReadFile(findBlob(t, blobFiles(t, s), s.project.State().Head))
	if err != nil {
		t.Fatal(err)
	}
	s.server.stop()
	var hit int
	err = filepath.WalkDir(filepath.Join(s.config.DataDir, "store"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if i := bytes.Index(b, head[:64]); i >= 0 {
			hit++
			b[i+len(head)/2] ^= 1
			return errors.Join(err, os.WriteFile(path, b, 0o600))
		}
		return err
	})
	if err != nil || hit == 0 {
		t.Fatalf("the head stands in %d files: %v", hit, err)
	}
	if s.server, _, err = s.startServer(t.Context(), "server", exe, s.config); err != nil {
		t.Logf("the server does not start: %v", err)
		return
	}
	if _, err := readAll(t.Context(), s); err == nil {
		t.Error("it was read")
	}
}

func TestAct2_SearchFindsWhatLeaks(t *testing.T) {
	s := stage(t, 2)
	leak := filepath.Join(s.config.DataDir, "debug.log")
	for what, body := range map[string][]byte{
		"the project's name":   []byte("opened " + ProjectName + " for alice"),
		"a line of the data":   bytes.SplitN(s.truth, []byte("\n"), 3)[1],
		"a title of a column":  []byte("xx mean_concave_points xx"),
		"the name of the file": []byte(dataName),
	} {
		if err := os.WriteFile(leak, body, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.searchServer(t.Context(), scratch(), progress.Discard{}); !errors.Is(err, ErrDemo) {
			t.Errorf("%s in the server's folder was not found: %v", what, err)
		}
	}
	if err := os.Rename(leak, filepath.Join(s.config.DataDir, dataName)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.config.DataDir, dataName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.searchServer(t.Context(), scratch(), progress.Discard{}); !errors.Is(err, ErrDemo) {
		t.Errorf("a file called %s was not found: %v", dataName, err)
	}
	if err := os.Remove(filepath.Join(s.config.DataDir, dataName)); err != nil {
		t.Fatal(err)
	}
	if err := s.searchServer(t.Context(), scratch(), progress.Discard{}); err != nil {
		t.Errorf("control: %v", err)
	}
}

// What comes back is compared with what went in.
func TestAct2_WrongContentIsSeen(t *testing.T) {
	s := stage(t, 2)
	s.truth = bytes.Clone(s.truth)
	s.truth[1000] ^= 1
	if err := s.readBack(t.Context(), scratch(), progress.Discard{}); !errors.Is(err, ErrDemo) {
		t.Errorf("not seen: %v", err)
	}
}

// --- Act 3

// restart starts the honest server again on the same folder.
func restart(t *testing.T, s *Stage) {
	t.Helper()
	s.server.stop()
	var err error
	if s.server, _, err = s.startServer(t.Context(), "server", exe, s.config); err != nil {
		t.Fatal(err)
	}
}

func TestAct3_ChangedManifest(t *testing.T) {
	s := stage(t, 3)
	path := filepath.Join(s.config.DataDir, server.ManifestFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const samples = 16 // each restarts the server; package manifest flips every bit
	for n := range samples {
		at := n * (len(whole) - 1) / (samples - 1)
		bad := bytes.Clone(whole)
		bad[at] ^= 1 << (n % 8)
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		restart(t, s)
		v, err := s.Alice.Attest(t.Context(), ServerName)
		if !errors.Is(err, attest.ErrRefused) {
			t.Fatalf("byte %d, bit %d: %v", at, n%8, err)
		}
		if v != nil && (v.Broken() == nil || !strings.HasPrefix(v.Broken().ID, "manifest.")) {
			t.Errorf("byte %d, bit %d: it broke at %v, not at a link of the manifest", at, n%8, v.Broken())
		}
	}
	// The act itself shows it.
	r, err := act(t, s, 3)
	mustFail(t, "changed manifest", r, err)
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	if _, err := s.Alice.Attest(t.Context(), ServerName); err != nil {
		t.Errorf("control: the whole manifest: %v", err)
	}
}

func TestAct3_ManifestsThatDoNotHold(t *testing.T) {
	s := stage(t, 3)
	stranger, err := app.LoadSigner(s.path("stranger.key"))
	if err != nil {
		t.Fatal(err)
	}
	good := app.ManifestSpec{Binary: exe, Config: s.config, Version: 1, Life: time.Hour, Key: s.signer}
	for name, c := range map[string]struct {
		edit func(*app.ManifestSpec)
		now  time.Time
		link string
	}{
		"expired":          {func(*app.ManifestSpec) {}, time.Now().Add(-2 * time.Hour), attest.LinkValidity},
		"not valid yet":    {func(*app.ManifestSpec) {}, time.Now().Add(2 * time.Hour), attest.LinkValidity},
		"rolled back":      {func(m *app.ManifestSpec) { m.Version = 0 }, time.Now(), attest.LinkValidity},
		"another signer":   {func(m *app.ManifestSpec) { m.Key = stranger }, time.Now(), attest.LinkManifest},
		"another program":  {func(m *app.ManifestSpec) { m.Binary = s.path("serve.json") }, time.Now(), attest.LinkEvents},
		"another config":   {func(m *app.ManifestSpec) { m.Config.LeaseSeconds++ }, time.Now(), attest.LinkEvents},
		"none at all":      {nil, time.Now(), ""},
		"control: as made": {func(*app.ManifestSpec) {}, time.Now(), "good"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(s.config.DataDir, server.ManifestFile)
			if c.edit == nil {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				m := good
				c.edit(&m)
				if m.Binary != exe {
					if err := os.WriteFile(m.Binary, []byte("another program"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				raw, err := app.MakeManifest(m, c.now)
				if err != nil {
					t.Skipf("cannot be made: %v", err)
				}
				if err := os.WriteFile(path, raw, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			restart(t, s)
			v, err := s.Alice.Attest(t.Context(), ServerName)
			if c.link == "good" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, attest.ErrRefused) {
				t.Fatalf("not refused: %v", err)
			}
			if c.link != "" && (v == nil || v.Broken().ID != c.link) {
				t.Errorf("it broke at %v, want %s", v.Broken(), c.link)
			}
			if p := s.Alice.Board().Verdicts()[ServerName].Payload; p != 0 {
				t.Errorf("%d payload bytes were sent", p)
			}
		})
	}
}

// A server with another TLS key is another server.
func TestAct3_AnotherKey(t *testing.T) {
	s := stage(t, 3)
	s.server.stop()
	// A store that another key made is refused by the server itself, so the
	// stranger in the server's place has nothing but the manifest.
	manifest, err := os.ReadFile(filepath.Join(s.config.DataDir, server.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.config.DataDir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.config.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.config.DataDir, server.ManifestFile), manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	if _, err := s.Alice.Attest(t.Context(), ServerName); app.Explain(err).Exit != app.ExitRefused {
		t.Errorf("not refused: %v", err)
	}
}

// --- Act 5

// The cheats taken away: the act must fail, for nothing was caught.
func TestAct5_HonestServerIsNoCheat(t *testing.T) {
	s := stage(t, 4)
	if err := s.cheatingServer(t.Context(), scratch(), "same-program", exe, s.config, "binary"); !errors.Is(err, ErrDemo) {
		t.Errorf("an honest program was caught as a changed one: %v", err)
	}
	// And a cheat must be caught for what it is.
	c := s.config
	c.TokenTTLSeconds = 86400
	if err := s.cheatingServer(t.Context(), scratch(), "other-config", exe, c, "binary"); !errors.Is(err, ErrDemo) {
		t.Errorf("a changed configuration passed as a changed program: %v", err)
	}
	c = s.config
	if err := s.cheatingServer(t.Context(), scratch(), "same-config", exe, c, "config"); !errors.Is(err, ErrDemo) {
		t.Errorf("the same configuration was caught as a changed one: %v", err)
	}
}

func TestAct5_HonestNodeIsNoCheat(t *testing.T) {
	s := stage(t, 4)
	s.cheater = "node"
	r, err := act(t, s, 5)
	mustFail(t, "an honest node as the cheat", r, err)
	if err != nil && !strings.Contains(err.Error(), "not caught") {
		t.Errorf("it failed for another reason: %v", err)
	}
}

// --- Act 6

func TestAct6_RollbackIsSeen(t *testing.T) {
	s := stage(t, 2)
	s.server.stop()
	old := s.path("old")
	if err := os.CopyFS(old, os.DirFS(s.config.DataDir)); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	path := s.path("alice", "more.csv")
	if err := os.WriteFile(path, []byte("a,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := s.Alice.Project(t.Context(), ProjectName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Alice.AddFile(t.Context(), p, path, project.Dataset, progress.Discard{}); err != nil {
		t.Fatal(err)
	}
	// The operator restores the backup of before.
	s.server.stop()
	if err := os.RemoveAll(s.config.DataDir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, s.config.DataDir); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	if _, err := s.Alice.Project(t.Context(), ProjectName); !errors.Is(err, project.ErrRollback) {
		t.Errorf("an old head: %v", err)
	}
}

// Somebody else is removed instead of bob: the act must see that bob still reads.
func TestAct6_RemovalThatRemovesNobody(t *testing.T) {
	s := stage(t, 5)
	ctx, none := t.Context(), progress.Discard{}
	ask := func(context.Context, string, bool) ([]byte, error) { return []byte(s.pass), nil }
	carol := app.New(app.Config{Home: s.path("carol"), Ask: ask, NoKeyring: true})
	defer carol.Close()
	id, err := carol.InitVault(ctx, "carol", []byte(s.pass), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.pin(carol, true); err != nil {
		t.Fatal(err)
	}
	if err := carol.Enrol(ctx, ServerName); err != nil {
		t.Fatal(err)
	}
	bob, err := s.Bob.InitVault(ctx, "bob", []byte(s.pass), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.pin(s.Bob, true), s.Bob.Enrol(ctx, ServerName)); err != nil {
		t.Fatal(err)
	}
	ub, err := s.meet(ctx, scratch(), bob)
	if err != nil {
		t.Fatal(err)
	}
	uc, err := chain.ParseUID(id.UID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Alice.Meet(ctx, ServerName, uc, ""); err != nil {
		t.Fatal(err)
	}
	// Carol's words were not compared: sharing waits for that.
	if err := s.Alice.Share(ctx, s.project, uc, chain.Reader, false); !errors.Is(err, app.ErrVerify) {
		t.Errorf("shared without words: %v", err)
	}
	for _, u := range []chain.UID{ub, uc} {
		if err := s.Alice.Share(ctx, s.project, u, chain.Reader, true); err != nil {
			t.Fatal(err)
		}
	}
	theirs, err := s.Bob.Join(ctx, ServerName, s.project.ID(), "", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.bobReads(ctx, scratch(), theirs, none); err != nil {
		t.Fatalf("control: %v", err)
	}
	if err := s.removeBob(ctx, scratch(), uc, none); !errors.Is(err, ErrDemo) {
		t.Errorf("bob is still a member and the act does not see it: %v", err)
	}
	// What bob reads is compared with what alice sealed.
	s.truth = append(bytes.Clone(s.truth), '\n')
	if theirs, err = s.Bob.Project(ctx, ProjectName); err != nil {
		t.Fatal(err)
	}
	if err := s.bobReads(ctx, scratch(), theirs, none); !errors.Is(err, ErrDemo) {
		t.Errorf("other content was not seen: %v", err)
	}
}
