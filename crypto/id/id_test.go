package id

import (
	"errors"
	"testing"
)

func TestStringIsTheCID(t *testing.T) {
	// The CIDv1 that `ipfs add --raw-leaves --cid-version 1` gives for "hello world".
	const want = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
	i := Of([]byte("hello world"))
	if i.String() != want {
		t.Fatalf("got %s", i)
	}
	back, err := Parse(want)
	if err != nil || back != i {
		t.Fatalf("parse: %v %v", back, err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := Of(nil).String()
	for _, s := range []string{"", "b", good[1:], good + "a", "B" + good[1:], good[:58] + "7"} {
		if _, err := Parse(s); !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%q) = %v", s, err)
		}
	}
}
