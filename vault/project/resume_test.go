package project

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
)

// breaking is a server that goes away after some blobs.
type breaking struct {
	Server
	left, put int
}

var errGone = errors.New("gone")

func (b *breaking) PutBlob(ctx context.Context, i id.ID, n int64, r io.Reader) error {
	if b.left == 0 {
		return errGone
	}
	b.left--
	b.put++
	return b.Server.PutBlob(ctx, i, n, r)
}

// stream hides that a reader can be rewound.
type stream struct{ io.Reader }

func TestRepeatedUploadSendsWhatIsMissing(t *testing.T) {
	body := make([]byte, 5*PieceSize+17)
	rand.Read(body)
	p := create(t, newShelf(), person(t, "alice"))
	try := func(name string, r io.Reader, left int) (int, error) {
		b := &breaking{Server: p.srv, left: left}
		defer func(s Server) { p.srv = s }(p.srv)
		p.srv = b
		_, err := p.Add(t.Context(), Item{Kind: Artifact, Name: name}, r, progress.Discard{})
		return b.put, err
	}
	if n, err := try("big", bytes.NewReader(body), 3); n != 3 || !errors.Is(err, errGone) {
		t.Fatalf("%d blobs, %v", n, err)
	}
	if _, err := p.Item("big"); err == nil {
		t.Fatal("half an item is listed")
	}
	// Six pieces, of which three are there; then index and link.
	if n, err := try("big", bytes.NewReader(body), -1); n != 3+2 || err != nil {
		t.Errorf("repeated: %d blobs sent, want 5: %v", n, err)
	}
	if got, err := read(t, p, "big"); err != nil || !bytes.Equal(got, body) {
		t.Errorf("read back: %v", err)
	}
	// The same content under another name shares nothing; neither does a stream.
	if n, err := try("other", bytes.NewReader(body), -1); n != 6+2 || err != nil {
		t.Errorf("another name: %d blobs, want 8: %v", n, err)
	}
	if n, err := try("stream", stream{bytes.NewReader(body)}, -1); n != 6+2 || err != nil {
		t.Errorf("a stream: %d blobs, want 8: %v", n, err)
	}
	a, _ := p.Item("big")
	b, _ := p.Item("other")
	if a.ID == b.ID || a.Pieces[0] == b.Pieces[0] {
		t.Error("two items are the same ciphertext")
	}
}

// A file that changes while it is sent must not have two plaintexts under one
// key and salt: pieces that differ have salts that differ.
func TestSaltsFollowThePiece(t *testing.T) {
	p := create(t, newShelf(), person(t, "alice"))
	u, err := p.newUpload("x", bytes.NewReader([]byte("content")))
	if err != nil {
		t.Fatal(err)
	}
	salts := map[string]bool{}
	for n, plain := range []string{"a", "b", "a"} {
		blob, err := u.seal(nil, n, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		salts[string(blob[:24])] = true
	}
	if len(salts) != 3 {
		t.Errorf("%d salts for three pieces", len(salts))
	}
	one, _ := u.seal(nil, 0, []byte("a"))
	two, _ := u.seal(nil, 0, []byte("a"))
	if !bytes.Equal(one, two) {
		t.Error("the same piece twice is not the same ciphertext")
	}
}
