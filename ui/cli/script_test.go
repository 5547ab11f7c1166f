package cli_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cipherdeck/assets"
)

// bin is the folder of the program, really built as it is shipped: servers,
// nodes and demonstrations are processes of their own.
var bin string

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "age-plugin-paper" {
		os.Exit(paperPlugin())
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "cipherdeck-cli-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		bin = dir
		build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program(), "cipherdeck")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("build: %v\n%s", err, out))
		}
		// `exec to NAME COMMAND… &` in a script: output goes to NAME.out, NAME.log.
		if err := os.WriteFile(filepath.Join(dir, "to"), []byte("#!/bin/sh\nf=$1\nshift\nexec \"$@\" >\"$f.out\" 2>\"$f.log\"\n"), 0o755); err != nil {
			panic(err)
		}
		self, err := os.Executable()
		if err != nil {
			panic(err)
		}
		if err := os.Symlink(self, filepath.Join(dir, "age-plugin-paper")); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

func program() string { return filepath.Join(bin, "cipherdeck") }

// TestScripts runs every story of testdata/script with the real program.
// README.md beside that folder says which commands they have besides testscript's.
func TestScripts(t *testing.T) { runScripts(t, "script", setup) }

// TestKeyringScripts runs those of testdata/keyring, which write to the keyring
// of the session: .ci/keyring makes one for them.
func TestKeyringScripts(t *testing.T) {
	if os.Getenv("CIPHERDECK_TEST_KEYRING") != "1" {
		t.Skip("SKIPPED: the OS keyring is not tested: CIPHERDECK_TEST_KEYRING=1 is not set (run .ci/keyring)")
	}
	runScripts(t, "keyring", func(e *testscript.Env) error {
		e.Setenv("DBUS_SESSION_BUS_ADDRESS", os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
		return setup(e)
	})
}

func runScripts(t *testing.T, folder string, setup func(*testscript.Env) error) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", folder),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await, "exit": exit, "json": jsonCmd, "save": save, "flip": flip, "cut": cut, "replace": replace, "repeat": repeat, "swtpm": swtpm, "pkcs11": pkcs11Helper,
			"rsakey": rsaKey,
		},
	})
}

func setup(e *testscript.Env) error {
	held, err := assets.HeldOut()
	if err != nil {
		return err
	}
	rows, err := json.Marshal(held)
	if err != nil {
		return err
	}
	for name, body := range map[string][]byte{"wdbc.csv": assets.WDBC(), "logreg.onnx": assets.Model(), "heldout.json": rows} {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), body, 0o600); err != nil {
			return err
		}
	}
	e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
	e.Setenv("CIPHERDECK_PASSPHRASE", "correct horse battery staple lamp ocean")
	e.Setenv("CIPHERDECK_UNLOCK_TIME", "1ms") // the least cost, or the scripts take minutes
	e.Setenv("BIN", bin)
	e.Setenv("SOFTHSM", softhsm())
	old, err := filepath.Abs(filepath.Join("testdata", "olddata"))
	if err != nil {
		return err
	}
	e.Setenv("OLDDATA", old)
	reports, err := filepath.Abs(filepath.Join("..", "..", "attest"))
	if err != nil {
		return err
	}
	e.Setenv("REPORTS", reports)
	e.Setenv("ESC", "\x1b")
	return nil
}

// guard ends a wait for something that never comes; nothing depends on how
// long anything takes.
const guard = time.Minute

// await FILE REGEXP [NAME]: wait until a line of FILE matches, and set NAME to
// its first group.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await FILE REGEXP [NAME]")
	}
	re := regexp.MustCompile("(?m)" + args[1])
	for end := time.Now().Add(guard); ; {
		b, _ := os.ReadFile(ts.MkAbs(args[0]))
		if m := re.FindSubmatch(b); m != nil {
			if len(args) > 2 {
				ts.Setenv(args[2], string(m[1]))
			}
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s never had %s; it has:\n%s", args[0], args[1], b)
		}
		pause()
	}
}

// exit N COMMAND…: run it and demand exit code N.
func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit N COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if s := ts.ReadFile("stdout") + ts.ReadFile("stderr"); strings.ContainsAny(s, "\x1b\u009b") {
		ts.Fatalf("an escape character was printed: %q", s)
	}
}

// answer is the object that --json prints.
func answer(out string) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	var a struct {
		V     *int  `json:"v"`
		OK    *bool `json:"ok"`
		Data  any   `json:"data"`
		Error *struct {
			Code  string `json:"code"`
			Field string `json:"field"`
			Cause string `json:"cause"`
			Cure  string `json:"cure"`
			Exit  int    `json:"exit"`
		} `json:"error"`
	}
	if err := d.Decode(&a); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("something follows the object")
	}
	switch {
	case a.V == nil || *a.V != 1 || a.OK == nil:
		return nil, fmt.Errorf("v must be 1 and ok must be there")
	case *a.OK != (a.Error == nil):
		return nil, fmt.Errorf("ok is %v and error is %v", *a.OK, a.Error)
	case a.Error != nil && (a.Error.Code == "" || a.Error.Cause == "" || a.Error.Cure == "" || a.Error.Exit == 0):
		return nil, fmt.Errorf("error without code, cause, cure or exit: %+v", *a.Error)
	}
	var m map[string]any
	return m, json.Unmarshal([]byte(out), &m)
}

// field follows a path such as data.items.0.name.
func field(v any, path string) (any, bool) {
	for _, k := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = x[k]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(k)
			if k == "len" {
				v = float64(len(x))
				continue
			}
			if err != nil || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// json [PATH=REGEXP]…: standard output is exactly one answer, with these fields.
func jsonCmd(ts *testscript.TestScript, neg bool, args []string) {
	out := ts.ReadFile("stdout")
	a, err := answer(out)
	if err != nil || neg {
		ts.Fatalf("standard output is not one answer: %v\n%s", err, out)
	}
	for _, c := range args {
		path, want, _ := strings.Cut(c, "=")
		v, ok := field(a, path)
		if got := fmt.Sprint(v); !ok || !regexp.MustCompile("^(?:"+want+")$").MatchString(got) {
			ts.Fatalf("%s is %q, want %s\n%s", path, got, want, out)
		}
	}
}

// save NAME PATH: set NAME to a field of the answer on standard output.
func save(ts *testscript.TestScript, neg bool, args []string) {
	a, err := answer(ts.ReadFile("stdout"))
	ts.Check(err)
	v, ok := field(a, args[1])
	if neg || !ok {
		ts.Fatalf("there is no %s", args[1])
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// edit rewrites a file of the script.
func edit(ts *testscript.TestScript, name string, f func([]byte) []byte) {
	path := ts.MkAbs(name)
	b, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, f(b), 0o600))
}

func offset(ts *testscript.TestScript, s string, size int) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	if n < 0 {
		n += size
	}
	return n
}

// flip FILE OFFSET: change one bit; a negative offset counts from the end.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	edit(ts, args[0], func(b []byte) []byte { b[offset(ts, args[1], len(b))] ^= 1; return b })
}

// cut FILE SIZE: keep the first SIZE bytes.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	edit(ts, args[0], func(b []byte) []byte { return b[:offset(ts, args[1], len(b))] })
}

// replace FILE OLD NEW: exchange bytes of a file, which must be there.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	edit(ts, args[0], func(b []byte) []byte {
		if !strings.Contains(string(b), args[1]) {
			ts.Fatalf("%s does not contain %q", args[0], args[1])
		}
		return []byte(strings.ReplaceAll(string(b), args[1], args[2]))
	})
}

// repeat FILE TEXT SIZE: write TEXT again and again until there are SIZE bytes.
func repeat(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	body := strings.Repeat(args[1], n/len(args[1])+1)[:n]
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(body), 0o600))
}

// pause lets another process work between two looks at what it did.
func pause() { time.Sleep(5 * time.Millisecond) }

// rsaKey NAME: make an RSA key as other tools have it: NAME.key (PKCS#8),
// NAME.pub (SubjectPublicKeyInfo), NAME.pkcs1 (public) and NAME.crt.
func rsaKey(ts *testscript.TestScript, _ bool, args []string) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	ts.Check(err)
	write := func(ext, kind string, der []byte, err error) {
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+ext), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	write(".key", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(&k.PublicKey)
	write(".pub", "PUBLIC KEY", der, err)
	write(".pkcs1", "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.PublicKey), nil)
	c := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err = x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	write(".crt", "CERTIFICATE", der, err)
}
