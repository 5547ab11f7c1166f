package secret

import (
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Unix(1_700_000_000, 0)

func fields(kv ...string) map[string][]byte {
	m := map[string][]byte{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = []byte(kv[i+1])
	}
	return m
}

func put(t *testing.T, set Set, name string, k Kind, kv ...string) {
	t.Helper()
	if err := set.Put(name, Secret{Kind: k, Fields: fields(kv...)}, noon); err != nil {
		t.Fatal(err)
	}
}

// RFC 6238, appendix B, all rows.
func TestTOTPVectors(t *testing.T) {
	seeds := map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64}
	for at, want := range map[int64][3]string{
		59:          {"94287082", "46119246", "90693936"},
		1111111109:  {"07081804", "68084774", "25091201"},
		1111111111:  {"14050471", "67062674", "99943326"},
		1234567890:  {"89005924", "91819424", "93441116"},
		2000000000:  {"69279037", "90698825", "38618901"},
		20000000000: {"65353130", "77737706", "47863826"},
	} {
		for i, alg := range []string{"SHA1", "SHA256", "SHA512"} {
			seed := strings.Repeat("1234567890", 7)[:seeds[alg]]
			s := Secret{Kind: TOTP, Fields: fields("secret", base32.StdEncoding.EncodeToString([]byte(seed)), "algorithm", alg, "digits", "8")}
			code, left, err := s.Code(time.Unix(at, 0))
			if err != nil || code != want[i] || left != time.Duration(30-at%30)*time.Second {
				t.Errorf("%s at %d: %s for %v, %v, want %s", alg, at, code, left, err, want[i])
			}
		}
	}
}

func TestTOTPParameters(t *testing.T) {
	const seed = "gezd gnbv-GY3TQOJQ GEZDGNBVGY3TQOJQ===="
	s := Secret{Kind: TOTP, Fields: fields("secret", seed)}
	if code, _, err := s.Code(time.Unix(59, 0)); err != nil || code != "287082" {
		t.Fatalf("%s %v", code, err)
	}
	login := Secret{Kind: Login, Fields: fields("username", "u", "password", "p", "totp", seed)}
	if code, _, err := login.Code(time.Unix(59, 0)); err != nil || code != "287082" || len(login.Fields) != 3 {
		t.Fatalf("%s %v", code, err)
	}
	for name, f := range map[string]map[string][]byte{
		"short":      fields("secret", "GEZDGNBV"),
		"not base32": fields("secret", "GEZDGNBVGY3TQOJ1GEZDGNBVGY3TQOJQ"),
		"algorithm":  fields("secret", seed, "algorithm", "MD5"),
		"5 digits":   fields("secret", seed, "digits", "5"),
		"9 digits":   fields("secret", seed, "digits", "9"),
		"period 0":   fields("secret", seed, "period", "0"),
		"period":     fields("secret", seed, "period", "-30"),
		"no number":  fields("secret", seed, "period", "30s"),
	} {
		bad := Secret{Kind: TOTP, Fields: f}
		_, _, err := bad.Code(noon)
		if !errors.Is(err, ErrInvalid) || !errors.Is(bad.Check(), ErrInvalid) || strings.Contains(err.Error(), "GEZD") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := s.Code(time.Unix(-1, 0)); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, _, err := (Secret{Kind: Note, Fields: fields("text", "x")}).Code(noon); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
}

func TestParseOTPAuth(t *testing.T) {
	s, err := ParseOTPAuth("otpauth://totp/ACME%20Co:john@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ACME%20Co&algorithm=SHA1&digits=6&period=30")
	if err != nil || string(s.Fields["issuer"]) != "ACME Co" || string(s.Fields["account"]) != "john@example.com" {
		t.Fatalf("%v %q", err, s.Fields)
	}
	if code, _, err := s.Code(time.Unix(59, 0)); err != nil || code != "287082" {
		t.Fatalf("%s %v", code, err)
	}
	for _, bad := range []string{
		"", "otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ&counter=1", "https://totp/x?secret=GEZDGNBVGY3TQOJQ", "otpauth://totp/x",
		"otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&secret=GEZDGNBVGY3TQOJA", "otpauth://totp/x?secret=%zz", "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&digits=99",
	} {
		if _, err := ParseOTPAuth(bad); !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "GEZD") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestPutGetDelete(t *testing.T) {
	set := Set{}
	value := []byte("k1")
	if err := set.Put("ci", Secret{Kind: API, Fields: map[string][]byte{"key": value}, Rotate: noon.Unix() + 10}, noon); err != nil {
		t.Fatal(err)
	}
	kept := set["ci"].Fields["key"]
	clear(value)
	if got, err := set.Field("ci", "key", noon); err != nil || string(got) != "k1" {
		t.Fatalf("the set shares memory with its caller: %q %v", got, err)
	}
	later := noon.Add(time.Hour)
	if err := set.Put("ci", Secret{Kind: API, Fields: fields("key", "k2", "owner", "ops")}, later); err != nil {
		t.Fatal(err)
	}
	if s := set["ci"]; s.Created != noon.Unix() || s.Changed != later.Unix() || string(kept) != "\x00\x00" {
		t.Fatalf("%d %d, old value %q", s.Created, s.Changed, kept)
	}
	if _, err := set.Field("ci", "token", noon); !errors.Is(err, ErrField) {
		t.Error(err)
	}
	if _, err := set.Field("ci", "code", noon); !errors.Is(err, ErrField) {
		t.Error(err)
	}
	if _, err := set.Get("cj"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	kept = set["ci"].Fields["key"]
	if err := set.Delete("ci"); err != nil || len(set) != 0 || string(kept) != "\x00\x00" {
		t.Fatalf("%v %q", err, kept)
	}
	if err := set.Delete("ci"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestDue(t *testing.T) {
	set := Set{}
	for name, at := range map[string]int64{"b": 100, "a": 99, "never": 0, "later": 101} {
		if err := set.Put(name, Secret{Kind: Note, Fields: fields("text", "x"), Rotate: at}, noon); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(set.Due(time.Unix(100, 0))); got != "[a b]" {
		t.Fatal(got)
	}
}

func TestPutRefuses(t *testing.T) {
	full := Set{}
	for i := range MaxSecrets {
		full[fmt.Sprint(i)] = Secret{}
	}
	many := fields("text", "x")
	for i := range maxFields {
		many[fmt.Sprintf("f%d", i)] = nil
	}
	ok := Secret{Kind: Note, Fields: fields("text", "x")}
	for name, c := range map[string]struct {
		set  Set
		name string
		s    Secret
	}{
		"no name":          {Set{}, "", ok},
		"slash":            {Set{}, "a/b", ok},
		"escape":           {Set{}, "a\x1b[31m", ok},
		"full":             {full, "new", ok},
		"no kind":          {Set{}, "n", Secret{Fields: fields("text", "x")}},
		"field is missing": {Set{}, "n", Secret{Kind: Login, Fields: fields("username", "u")}},
		"field is empty":   {Set{}, "n", Secret{Kind: API, Fields: fields("key", "")}},
		"field name":       {Set{}, "n", Secret{Kind: Note, Fields: fields("text", "x", "a=b", "x")}},
		"capital":          {Set{}, "n", Secret{Kind: Note, Fields: fields("text", "x", "Key", "x")}},
		"long field name":  {Set{}, "n", Secret{Kind: Note, Fields: fields("text", "x", strings.Repeat("a", 33), "x")}},
		"large":            {Set{}, "n", Secret{Kind: File, Fields: map[string][]byte{"content": make([]byte, MaxField+1)}}},
		"many fields":      {Set{}, "n", Secret{Kind: Note, Fields: many}},
		"bad seed":         {Set{}, "n", Secret{Kind: TOTP, Fields: fields("secret", "x")}},
	} {
		before := len(c.set)
		if err := c.set.Put(c.name, c.s, noon); !errors.Is(err, ErrInvalid) || len(c.set) != before {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingPrintsValues(t *testing.T) {
	s := Secret{Kind: API, Fields: fields("key", "HIDDEN")}
	set := Set{"n": s}
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{s, set, &s, []Secret{s}} {
			if got := fmt.Sprintf(f, v); strings.Contains(got, "HIDDEN") || strings.Contains(got, "72 73 68") || strings.Contains(got, "0x48") {
				t.Errorf("%s: %s", f, got)
			}
		}
	}
}
