package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func some(t *testing.T) Set {
	set := Set{}
	put(t, set, "db", Login, "username", "ana", "password", "p w=1", "totp", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	put(t, set, "build key", API, "key", "k3y")
	put(t, set, "c++", Note, "text", "two\nlines")
	put(t, set, "cloud", AWS, "access_key_id", "AKIA", "secret_access_key", "s/+=", "region", "eu-1")
	put(t, set, "bin", File, "content", "a\x00b")
	return set
}

func TestRefHasOneForm(t *testing.T) {
	for _, r := range []Ref{{"db", "password"}, {"build key", "key"}, {"c++", "text"}, {"é@x_1", "a_1"}} {
		if got, err := ParseRef(r.String()); err != nil || got != r {
			t.Errorf("%s: %+v %v", r, got, err)
		}
	}
	for _, bad := range []string{
		"", "db/password", "cipherdeck://", "cipherdeck://db", "cipherdeck://db/", "cipherdeck:///password", "cipherdeck://db/password/x",
		"cipherdeck://db/Password", "cipherdeck://d%62/password", "cipherdeck://build key/key", "cipherdeck://c++/text", "cipherdeck://a%2Fb/key",
		"cipherdeck://db/password ", "CIPHERDECK://db/password", "cipherdeck://db%00/password", "cipherdeck://%zz/key", "cipherdeck://a%0Ab/key",
	} {
		if _, err := ParseRef(bad); !errors.Is(err, ErrRef) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestExpand(t *testing.T) {
	set := some(t)
	in := "a={{secret \"db\" \"password\"}} b={{ secret \"build key\" \"key\" }}\nc=cipherdeck://db/username, \"cipherdeck://c%2B%2B/text\" {{other}} $x %d {{secretary}}\nn=cipherdeck://db/code"
	want := "a=p w=1 b=k3y\nc=ana, \"two\nlines\" {{other}} $x %d {{secretary}}\nn=287082"
	got, err := set.Expand([]byte(in), time.Unix(59, 0))
	if err != nil || string(got) != want {
		t.Fatalf("%v\n%s", err, got)
	}
	// A value that looks like a reference is not expanded again.
	put(t, set, "trick", Note, "text", "cipherdeck://db/password")
	if got, err := set.Expand([]byte("cipherdeck://trick/text"), noon); err != nil || string(got) != "cipherdeck://db/password" {
		t.Fatalf("%s %v", got, err)
	}
	for in, want := range map[string]error{
		`{{secret "db" "passwort"}}`:        ErrField,
		`{{secret "dc" "password"}}`:        ErrNotFound,
		`{{secret "db"}}`:                   ErrRef,
		`{{secret db password}}`:            ErrRef,
		`{{secret "db" "password" "x"}}`:    ErrRef,
		`{{secret "db" "password" | html}}`: ErrRef,
		`{{- secret "db" "password"}}`:      ErrRef,
		`{{secret "db" "password"}`:         ErrRef,
		`{{secret "db" "password"`:          ErrRef,
		"{{secret \"db\"\n\"password\"}}":   ErrRef,
		`{{secret`:                          ErrRef,
		`cipherdeck://db`:                   ErrRef,
		`cipherdeck://`:                     ErrRef,
		`cipherdeck://db/password.`:         ErrRef,
		`cipherdeck://db/password@host`:     ErrRef,
		`cipherdeck://db/passwor`:           ErrField,
	} {
		got, err := set.Expand([]byte("ok {{secret \"db\" \"username\"}}\n"+in), noon)
		if !errors.Is(err, want) || got != nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "p w") {
			t.Errorf("%s: %q %v", in, got, err)
		}
	}
}

func TestEnvironReachesOnlyTheChild(t *testing.T) {
	set := some(t)
	env, err := set.Environ([]string{"PATH=/bin", "DB=old", "DBX=stays"}, []string{"DB=cipherdeck://db/password", "K=cipherdeck://build%20key/key"}, noon)
	if err != nil || !slices.Equal(env, []string{"PATH=/bin", "DBX=stays", "DB=p w=1", "K=k3y"}) {
		t.Fatalf("%q %v", env, err)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("SKIPPED: no sh: the child is not run")
	}
	cmd := exec.Command(sh, "-c", `printf %s "$DB|$K"`)
	cmd.Env = env
	if out, err := cmd.Output(); err != nil || string(out) != "p w=1|k3y" || os.Getenv("K") != "" {
		t.Fatalf("%s %v", out, err)
	}
	for in, want := range map[string]error{
		"K":                          ErrInvalid,
		"=cipherdeck://db/password":  ErrInvalid,
		"1K=cipherdeck://db/x":       ErrInvalid,
		"A B=cipherdeck://db/x":      ErrInvalid,
		"K=p":                        ErrRef,
		"K=cipherdeck://no/password": ErrNotFound,
		"K=cipherdeck://db/no":       ErrField,
		"K=cipherdeck://bin/content": ErrInvalid,
	} {
		if env, err := set.Environ(nil, []string{in}, noon); !errors.Is(err, want) || env != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
	if _, err := set.Environ(nil, []string{"K=cipherdeck://db/username", "K=cipherdeck://db/password"}, noon); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	bind, err := set.BindAll("cloud")
	if err != nil {
		t.Fatal(err)
	}
	env, err = set.Environ(nil, bind, noon)
	if err != nil || !slices.Equal(env, []string{"AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=s/+=", "AWS_REGION=eu-1"}) {
		t.Fatalf("%q %v", env, err)
	}
	if _, err := set.BindAll("db"); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
}

func TestCredentialProcess(t *testing.T) {
	set := some(t)
	b, err := set.CredentialProcess("cloud", noon)
	if err != nil || string(b) != `{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"s/+="}`+"\n" {
		t.Fatalf("%s %v", b, err)
	}
	put(t, set, "temp", AWS, "access_key_id", "A", "secret_access_key", "S", "session_token", "T", "expiration", "2023-11-14T22:13:21Z")
	b, err = set.CredentialProcess("temp", noon)
	var got map[string]any
	if err != nil || json.Unmarshal(b, &got) != nil || got["SessionToken"] != "T" || got["Expiration"] != "2023-11-14T22:13:21Z" {
		t.Fatalf("%s %v", b, err)
	}
	put(t, set, "odd", AWS, "access_key_id", "A", "secret_access_key", "S", "expiration", "tomorrow")
	for name, c := range map[string]struct {
		at   time.Time
		want error
	}{"temp": {noon.Add(time.Second), ErrInvalid}, "odd": {noon, ErrInvalid}, "db": {noon, ErrKind}, "none": {noon, ErrNotFound}} {
		if b, err := set.CredentialProcess(name, c.at); !errors.Is(err, c.want) || b != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func storeOf(set Set) Store {
	f := func(g func(Set) error) error { return g(set) }
	return Store{View: f, Update: f}
}

// git stores after each use; that must not rewrite the vault.
func TestGitStoreOfTheSameSavesNothing(t *testing.T) {
	set, saves := Set{}, 0
	store := storeOf(set)
	store.Update = func(g func(Set) error) error {
		err := g(set)
		if err == nil {
			saves++
		}
		return err
	}
	for _, action := range []string{"store", "store", "erase", "store"} {
		in := "protocol=https\nhost=h\nusername=u\npassword=p\n"
		if action == "erase" {
			in = "protocol=https\nhost=h\nusername=u\npassword=refused\n"
		}
		if err := GitCredential(action, strings.NewReader(in), nil, store, noon); err != nil {
			t.Fatal(err)
		}
	}
	if saves != 1 || len(set) != 1 {
		t.Fatalf("%d saves", saves)
	}
}

func git(t *testing.T, set Set, action, in string) string {
	t.Helper()
	var out bytes.Buffer
	if err := GitCredential(action, strings.NewReader(in), &out, storeOf(set), noon); err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return out.String()
}

func TestGitGet(t *testing.T) {
	set := Set{}
	put(t, set, "hub", Git, "host", "git.example", "password", "tok")
	put(t, set, "work", Git, "host", "work.example:8443", "username", "ana", "password", "w1")
	put(t, set, "work2", Git, "host", "work.example:8443", "username", "bob", "password", "w2")
	put(t, set, "mono", Git, "host", "work.example:8443", "username", "ana", "path", "a/b.git", "password", "w3")
	put(t, set, "lan", Git, "host", "lan", "protocol", "http", "password", "l")
	put(t, set, "login", Login, "username", "git.example", "password", "no")
	for in, want := range map[string]string{
		"protocol=https\nhost=git.example\n\n":                                      "username=git\npassword=tok\n",
		"protocol=https\nhost=GIT.example":                                          "username=git\npassword=tok\n",
		"protocol=https\nhost=git.example\nusername=eve\ncapability[]=authtype\n":   "username=eve\npassword=tok\n",
		"protocol=http\nhost=git.example\n":                                         "", // never in clear
		"host=git.example\n":                                                        "",
		"protocol=https\nhost=git.example.evil\n":                                   "",
		"protocol=https\nhost=\n":                                                   "",
		"protocol=https\nhost=git.example:443\n":                                    "",
		"protocol=https\nhost=work.example:8443\nusername=bob\n":                    "username=bob\npassword=w2\n",
		"protocol=https\nhost=work.example:8443\n":                                  "", // ana or bob: git asks
		"protocol=https\nhost=work.example:8443\nusername=eve\n":                    "",
		"protocol=https\nhost=work.example:8443\npath=a/b.git\n":                    "username=ana\npassword=w3\n",
		"protocol=https\nhost=work.example:8443\nusername=ana\npath=a/b.git\n\nx=y": "username=ana\npassword=w3\n",
		"protocol=http\nhost=lan\n":                                                 "username=git\npassword=l\n",
		"protocol=https\nhost=lan\n":                                                "",
		"":                                                                          "",
	} {
		if got := git(t, set, "get", in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := git(t, set, "capability", "nonsense"); got != "" {
		t.Errorf("unknown action: %q", got)
	}
}

func TestGitStoreAndErase(t *testing.T) {
	set := Set{}
	const ask = "protocol=https\nhost=h.example\nusername=ana\n"
	git(t, set, "store", ask+"password=one\n\n")
	git(t, set, "store", ask+"password=one\n\n")
	if s, err := set.Get("git-h.example"); err != nil || len(set) != 1 || string(s.Fields["password"]) != "one" {
		t.Fatalf("%v %v", set.Names(), err)
	}
	git(t, set, "store", ask+"password=two\n\n")
	git(t, set, "store", "protocol=https\nhost=h.example\nusername=b/../b\npassword=x\n\n")
	if got := strings.Join(set.Names(), " "); got != "git-h.example git-h.example-b_.._b" {
		t.Fatal(got)
	}
	if got := git(t, set, "get", ask); got != "username=ana\npassword=two\n" {
		t.Fatal(got)
	}
	git(t, set, "erase", ask+"password=one\n") // refused long ago: not what is kept
	git(t, set, "erase", ask)
	if len(set) != 2 {
		t.Fatal("erased another password")
	}
	git(t, set, "erase", ask+"password=two\n")
	if got := strings.Join(set.Names(), " "); got != "git-h.example-b_.._b" {
		t.Fatal(got)
	}
	for _, in := range []string{"", "protocol=https\nhost=x\n", "protocol=https\npassword=x\n"} {
		git(t, set, "store", in)
		git(t, set, "erase", in)
	}
	if len(set) != 1 {
		t.Fatal(set.Names())
	}
	var out bytes.Buffer
	readOnly := Store{View: storeOf(set).View}
	if err := GitCredential("store", strings.NewReader(ask+"password=x\n"), &out, readOnly, noon); err != nil || len(set) != 1 {
		t.Fatal(err)
	}
}

func TestGitProtocolRefuses(t *testing.T) {
	set := Set{}
	put(t, set, "hub", Git, "host", "h", "password", "tok")
	put(t, set, "two", Git, "host", "two", "password", "to\nk")
	for name, in := range map[string]string{
		"no equals sign": "protocol=https\nhost",
		"no key":         "=x\n",
		"return":         "protocol=https\nhost=h\r\n",
		"inner return":   "protocol=https\nhost=h\rhost=evil\n",
		"zero":           "protocol=https\nhost=h\x00\n",
		"long":           "protocol=https\nhost=" + strings.Repeat("h", maxGitInput) + "\n",
		"lines":          strings.Repeat("a=b\n", maxGitLines+1),
	} {
		for _, action := range []string{"get", "store", "erase"} {
			var out bytes.Buffer
			if err := GitCredential(action, strings.NewReader(in), &out, storeOf(set), noon); !errors.Is(err, ErrProtocol) || out.Len() > 0 {
				t.Errorf("%s, %s: %v %q", name, action, err, &out)
			}
		}
	}
	var out bytes.Buffer
	if err := GitCredential("get", strings.NewReader("protocol=https\nhost=two\n"), &out, storeOf(set), noon); !errors.Is(err, ErrInvalid) || out.Len() > 0 {
		t.Errorf("a password of two lines: %v %q", err, &out)
	}
}

// The real git asks this test's program, which answers as the helper would.
func TestRealGit(t *testing.T) {
	path, err := exec.LookPath("git")
	if err != nil {
		t.Skip("SKIPPED: git is not installed")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	helper := filepath.Join(home, "helper")
	script := "#!/bin/sh\nCIPHERDECK_GIT_TEST=$1 exec '" + exe + "'\n"
	if err := os.WriteFile(helper, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", "credential.helper=", "-c", "credential.helper="+helper, "credential", "fill")
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1"}
	cmd.Stdin = strings.NewReader("protocol=https\nhost=real.example\n\n")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "password=from the vault\n") || !strings.Contains(string(out), "username=git\n") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestMain(m *testing.M) {
	if action := os.Getenv("CIPHERDECK_GIT_TEST"); action != "" {
		set := Set{}
		set.Put("real", Secret{Kind: Git, Fields: fields("host", "real.example", "password", "from the vault")}, noon)
		if err := GitCredential(action, os.Stdin, os.Stdout, storeOf(set), noon); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func FuzzExpand(f *testing.F) {
	f.Add(`x {{secret "db" "password"}} y`)
	f.Add("cipherdeck://db/password")
	f.Add("{{secret {{secret \"db\" \"password\"}}")
	set := Set{"db": {Kind: API, Fields: fields("password", "VALUE")}}
	f.Fuzz(func(t *testing.T, in string) {
		out, err := set.Expand([]byte(in), noon)
		if err != nil && out != nil {
			t.Fatal("output beside an error")
		}
		if err == nil && strings.Contains(string(out), "cipherdeck://") && !strings.Contains(in, "VALUE") {
			t.Fatalf("a reference is left: %q", out)
		}
	})
}

func FuzzGit(f *testing.F) {
	f.Add("get", "protocol=https\nhost=h\n\n")
	f.Add("store", "protocol=https\nhost=h\nusername=x\npassword=y\n")
	f.Add("erase", "protocol=https\nhost=h\npassword=PW\n")
	f.Fuzz(func(t *testing.T, action, in string) {
		set := Set{"h": {Kind: Git, Fields: fields("host", "h", "password", "PW")}}
		var out bytes.Buffer
		err := GitCredential(action, strings.NewReader(in), &out, storeOf(set), noon)
		if err != nil && out.Len() > 0 {
			t.Fatal("output beside an error")
		}
		if out.Len() > 0 && (action != "get" || strings.Count(out.String(), "\n") != 2) {
			t.Fatalf("%s answered %q", action, &out)
		}
		for name, s := range set {
			if err := s.Check(); err != nil {
				t.Fatalf("%s was stored: %v", name, err)
			}
		}
	})
}
