package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func message(t testing.TB, body any, secret []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, body, secret); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTripAndCuts(t *testing.T) {
	m := message(t, Reply{Code: Choose, Text: "two", Tokens: []Token{{Label: "a", Keys: []Key{{ID: []byte{1}}}}}}, []byte("secret"))
	var r Reply
	secret, err := Read(bytes.NewReader(m), &r)
	if err != nil || string(secret) != "secret" || r.Code != Choose || r.Tokens[0].Keys[0].ID[0] != 1 {
		t.Fatalf("%+v %q %v", r, secret, err)
	}
	for n := range m {
		if _, err := Read(bytes.NewReader(m[:n]), &r); !errors.Is(err, ErrCut) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if _, err := Read(bytes.NewReader(append(m, 0)), &r); !errors.Is(err, ErrMessage) {
		t.Error("trailing byte", err)
	}
}

func TestTooLarge(t *testing.T) {
	if err := Write(&bytes.Buffer{}, Request{Wrapped: make([]byte, MaxBody)}, nil); !errors.Is(err, ErrMessage) {
		t.Error(err)
	}
	if err := Write(&bytes.Buffer{}, Request{}, make([]byte, MaxSecret+1)); !errors.Is(err, ErrMessage) {
		t.Error(err)
	}
}

// What is too large is refused before it is read, or room is made for it.
func TestLengthsAreBounded(t *testing.T) {
	for name, in := range map[string]string{
		"body":   "CDP11\x01\x00\x10\x00\x01",
		"secret": "CDP11\x01\x00\x00\x00\x01\xa0\x04\x01",
	} {
		var r Reply
		if _, err := Read(strings.NewReader(in), &r); !errors.Is(err, ErrMessage) || errors.Is(err, ErrCut) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"  Ana's card   ":            "Ana's card",
		"a\x1b]0;b\x07\xff\u202ec\n": "a]0;bc",
		"Ключ 1":                     "Ключ 1",
	} {
		if got := Plain(in); got != want || Plain(got) != got {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// What is read is what would be written.
func FuzzRead(f *testing.F) {
	f.Add(message(f, Reply{Code: OK, Tokens: []Token{{Label: "a"}}}, []byte("s")))
	f.Add([]byte("CDP11\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var r Reply
		secret, err := Read(bytes.NewReader(in), &r)
		if err != nil {
			if !errors.Is(err, ErrMessage) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(message(t, r, secret), in) {
			t.Fatalf("%x is written otherwise", in)
		}
	})
}
