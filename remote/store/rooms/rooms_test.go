package rooms_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/ipfs/ipfstest"
	"cipherdeck/remote/store/rooms"
	"cipherdeck/remote/store/s3/s3test"
	"cipherdeck/remote/store/sftp/sftptest"
)

const limit = 1 << 20

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// places makes one place of each kind, in real servers; it skips the test when
// there is none.
var places = map[string]func(*testing.T) rooms.Place{
	"file": func(*testing.T) rooms.Place { return rooms.Place{Kind: rooms.File} },
	"file elsewhere": func(t *testing.T) rooms.Place {
		return rooms.Place{Kind: rooms.File, Dir: filepath.Join(t.TempDir(), "far")}
	},
	"sftp": func(t *testing.T) rooms.Place {
		s := sftptest.New(t)
		return rooms.Place{Kind: rooms.SFTP, Addr: s.Addr, User: sftptest.User, Dir: s.Dir, KeyFile: s.KeyFile, HostKey: s.HostKey}
	},
	"s3": func(t *testing.T) rooms.Place {
		g := s3test.New(t)
		return rooms.Place{Kind: rooms.S3, Endpoint: g.Endpoint, Bucket: s3test.Bucket, Prefix: "p/", AccessKeyFile: file(t, s3test.Access), SecretKeyFile: file(t, s3test.Secret+"\n")}
	},
	"ipfs": func(t *testing.T) rooms.Place {
		return rooms.Place{Kind: rooms.IPFS, Endpoint: ipfstest.New(t).Endpoint}
	},
}

func open(t *testing.T, o rooms.Options) *rooms.House {
	t.Helper()
	o.Max, o.Now = limit, time.Now
	h, err := rooms.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func room(t *testing.T, h *rooms.House, pid id.ID) store.Blobs {
	t.Helper()
	b, err := h.Room(pid)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t *testing.T, b store.Blobs, i id.ID) ([]byte, error) {
	t.Helper()
	r, _, err := b.Get(t.Context(), i)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

var body = bytes.Repeat([]byte("ciphertext"), 30_000)

// TestApart puts a blob into one project's room, in a place of each kind: no
// other room has it, a house that is opened later does, and knows the name.
func TestApart(t *testing.T) {
	one, two, i := id.Of([]byte("one")), id.Of([]byte("two")), id.Of(body)
	for kind, make := range places {
		t.Run(kind, func(t *testing.T) {
			o := rooms.Options{Dir: filepath.Join(t.TempDir(), "blobs"), Place: make(t)}
			h := open(t, o)
			if names, err := h.Names(); err != nil || len(names) != 0 {
				t.Errorf("before: %v, %v", names, err)
			}
			a, b := room(t, h, one), room(t, h, two)
			if err := a.Put(t.Context(), i, int64(len(body)), bytes.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			if have, err := b.Has(t.Context(), []id.ID{i}); err != nil || have[0] {
				t.Errorf("the other room: %v, %v", have, err)
			}
			if _, err := read(t, b, i); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("from the other room: %v", err)
			}
			if room(t, h, one) != a {
				t.Error("a room was opened twice")
			}
			h = open(t, o)
			if got, err := read(t, room(t, h, one), i); err != nil || !bytes.Equal(got, body) {
				t.Errorf("later: %d bytes, %v", len(got), err)
			}
			names, err := h.Names()
			slices.SortFunc(names, id.Compare)
			want := []id.ID{one, two}
			slices.SortFunc(want, id.Compare)
			if err != nil || !slices.Equal(names, want) {
				t.Errorf("names: %v, %v", names, err)
			}
		})
	}
}

// TestSecondCopy damages the first copy in files: what comes is right, from a
// second of each kind, and it is told.
func TestSecondCopy(t *testing.T) {
	pid, i := id.Of([]byte("one")), id.Of(body)
	for kind, make := range places {
		if kind == "file" {
			continue // is no second place
		}
		t.Run(kind, func(t *testing.T) {
			second := make(t)
			var told []id.ID
			dir := filepath.Join(t.TempDir(), "blobs")
			h := open(t, rooms.Options{Dir: dir, Place: rooms.Place{Kind: rooms.File}, Second: &second,
				Healed: func(p, i id.ID, _ error) { told = append(told, p, i) }})
			b := room(t, h, pid)
			if err := b.Put(t.Context(), i, int64(len(body)), bytes.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			hx := hex.EncodeToString(i[:])
			path := filepath.Join(dir, hex.EncodeToString(pid[:]), hx[:2], hx[2:4], hx)
			if err := os.WriteFile(path, body[1:], 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := read(t, b, i); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if !slices.Equal(told, []id.ID{pid, i}) {
				t.Errorf("told %v", told)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, body) {
				t.Errorf("the first copy was not mended: %d bytes, %v", len(got), err)
			}
		})
	}
}

// TestRefuses tries descriptions that are none; each names the field.
func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	key := file(t, "key")
	public := file(t, "key")
	if err := os.Chmod(public, 0o644); err != nil {
		t.Fatal(err)
	}
	s3 := rooms.Place{Kind: rooms.S3, Endpoint: "https://s3.example", Bucket: "bucket", AccessKeyFile: key, SecretKeyFile: key}
	with := func(p rooms.Place, edit func(*rooms.Place)) rooms.Place { edit(&p); return p }
	for want, o := range map[string]rooms.Options{
		"kind":            {Place: rooms.Place{Kind: "tape"}},
		"bucket":          {Place: with(s3, func(p *rooms.Place) { p.Bucket = "" })},
		"addr":            {Place: with(s3, func(p *rooms.Place) { p.Addr = "host:22" })},
		"secret_key_file": {Place: with(s3, func(p *rooms.Place) { p.SecretKeyFile = "" })},
		"chmod 600":       {Place: with(s3, func(p *rooms.Place) { p.SecretKeyFile = public })},
		"no such file":    {Place: with(s3, func(p *rooms.Place) { p.AccessKeyFile = dir + "/none" })},
		"host_key":        {Place: rooms.Place{Kind: rooms.SFTP, Addr: "host:22", User: "u", Dir: "d", KeyFile: key}},
		"endpoint":        {Place: rooms.Place{Kind: rooms.IPFS}},
		"dir":             {Place: rooms.Place{Kind: rooms.IPFS, Endpoint: "http://127.0.0.1:5001", Dir: "d"}},
		"folder of its":   {Place: rooms.Place{Kind: rooms.File}, Second: &rooms.Place{Kind: rooms.File}},
		"same place":      {Place: s3, Second: &s3},
	} {
		o.Dir, o.Max, o.Now = dir, limit, time.Now
		_, err := rooms.Open(o)
		if !errors.Is(err, rooms.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q named: %v", want, err)
		}
	}
}

// TestDirect shows that clients may come to a bucket when it is the only place.
func TestDirect(t *testing.T) {
	key := file(t, "key")
	p := rooms.Place{Kind: rooms.S3, Endpoint: "https://s3.example", Bucket: "bucket", AccessKeyFile: key, SecretKeyFile: key, Direct: true}
	second := &rooms.Place{Kind: rooms.File, Dir: t.TempDir()}
	for _, c := range []struct {
		direct bool
		second *rooms.Place
		want   bool
	}{{true, nil, true}, {false, nil, false}, {true, second, false}} {
		p.Direct = c.direct
		_, ok := room(t, open(t, rooms.Options{Dir: t.TempDir(), Place: p, Second: c.second}), id.ID{1}).(store.Presigner)
		if ok != c.want {
			t.Errorf("%+v: %v", c, ok)
		}
	}
}
