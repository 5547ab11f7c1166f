//go:build unix

package ageplugin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"cipherdeck/vault"
)

// The test binary is the plugins too: which, its name says.
func TestMain(m *testing.M) {
	name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), "age-plugin-")
	if !ok {
		os.Exit(m.Run())
	}
	if script := scripts()[name]; script != "" {
		for in := bufio.NewScanner(os.Stdin); in.Scan() && in.Text() != "-> done"; { // the first phase
		}
		if strings.Contains(script, "wait") {
			fmt.Println("-> msg\n" + "d2FpdGluZw")
			select {}
		}
		for range repeats(name) {
			os.Stdout.WriteString(script)
		}
		os.Exit(0)
	}
	os.Exit(soft(name))
}

func repeats(name string) int {
	if name == "endless" {
		return 100_000
	}
	return 1
}

// scripts are plugins that misbehave, by name.
func scripts() map[string]string {
	return map[string]string{
		"hang":     "wait",
		"garbage":  "hello\n",
		"silent":   "-> done\n\n",
		"index":    "-> recipient-stanza 1 X25519 a\n\n-> file-key 1\nAAAAAAAAAAAAAAAAAAAAAA\n",
		"noargs":   "-> recipient-stanza 0\n\n",
		"short":    "-> file-key 0\nAAAA\n",
		"twice":    "-> file-key 0\nAAAAAAAAAAAAAAAAAAAAAA\n-> file-key 0\nAAAAAAAAAAAAAAAAAAAAAA\n-> done\n\n",
		"longline": "-> " + strings.Repeat("x", 5000) + "\n\n",
		"longbody": "-> msg\n" + strings.Repeat(strings.Repeat("A", 64)+"\n", 1000) + "\n",
		"padding":  "-> msg\nAA==\n",
		"loose":    "-> msg\nAB\n",
		"binary":   "-> a\x1b[2J\n\n",
		"spaces":   "-> a  b\n\n",
		"endless":  "-> msg\n\n",
		"refuses":  "-> error internal\n" + "bm8gG1szMW1kZXZpY2U\n", // "no \x1b[31mdevice"
	}
}

// soft is a plugin made with age's own library: the recipient's data is an age
// recipient, the identity's an age identity.
func soft(name string) int {
	p, err := plugin.New(name)
	if err != nil {
		return 9
	}
	leak := ""
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, "CIPHERDECK_") {
			leak += e
		}
	}
	p.HandleRecipient(func(data []byte) (age.Recipient, error) {
		if err := p.DisplayMessage("wrapping" + leak); err != nil {
			return nil, err
		}
		return age.ParseX25519Recipient(string(data))
	})
	p.HandleIdentity(func(data []byte) (age.Identity, error) {
		yes, err := p.Confirm("touch \x1b[1mthe device", "go", "stop")
		if err != nil || !yes {
			return nil, errors.New("not touched")
		}
		pin, err := p.RequestValue("PIN", true)
		if err != nil || pin != "1234" {
			return nil, errors.New("wrong PIN")
		}
		return age.ParseX25519Identity(string(data))
	})
	return p.Main()
}

// install puts the plugins into the PATH.
func install(t *testing.T, names ...string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := t.TempDir()
	for _, n := range names {
		if err := os.Symlink(exe, filepath.Join(d, "age-plugin-"+n)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", d)
}

func pair(t *testing.T, name string) (recipient, identity string) {
	t.Helper()
	k, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return plugin.EncodeRecipient(name, []byte(k.Recipient().String())), plugin.EncodeIdentity(name, []byte(k.String()))
}

func create(t *testing.T, slots ...vault.NewSlot) (*vault.Vault, error) {
	t.Helper()
	d := t.TempDir()
	_ = os.Chmod(d, 0o700)
	v, err := vault.Create(filepath.Join(d, "vault"), vault.State{}, slots...)
	if err == nil {
		t.Cleanup(v.Close)
	}
	return v, err
}

func open(ctx context.Context, v *vault.Vault, u vault.Unlocker) error {
	again, err := vault.Open(ctx, v.Path(), u)
	if err == nil {
		again.Close()
	}
	return err
}

// user answers as somebody who sits there, and notes what was shown.
type user struct {
	shown []string
	yes   bool
	pin   string
}

func (u *user) ui() UI {
	return UI{
		Message: func(p, text string) { u.shown = append(u.shown, p+": "+text) },
		Confirm: func(_ context.Context, p, prompt, yes, no string) (bool, error) {
			u.shown = append(u.shown, strings.Join([]string{p, prompt, yes, no}, "|"))
			return u.yes, nil
		},
		Ask: func(_ context.Context, p, prompt string, secret bool) ([]byte, error) {
			u.shown = append(u.shown, fmt.Sprint(p, " ", prompt, " ", secret))
			return []byte(u.pin), nil
		},
	}
}

func TestSoftwarePlugin(t *testing.T) {
	install(t, "citest", "other")
	t.Setenv("CIPHERDECK_PASSPHRASE", "must not be passed on")
	to, identity := pair(t, "citest")
	_, stranger := pair(t, "citest")
	_, foreign := pair(t, "other")
	u := &user{yes: true, pin: "1234"}
	v, err := create(t, Slot(to, u.ui()))
	if err != nil {
		t.Fatal(err)
	}
	if err := open(t.Context(), v, Unlocker(identity, u.ui())); err != nil {
		t.Fatal(err)
	}
	want := []string{"citest: wrapping", "citest|touch [1mthe device|go|stop", "citest PIN true"}
	if !reflect.DeepEqual(u.shown, want) {
		t.Errorf("shown %q, want %q", u.shown, want)
	}
	no, wrong := &user{pin: "1234"}, &user{yes: true, pin: "1"}
	for name, c := range map[string]struct {
		u    vault.Unlocker
		want error
	}{
		"another identity":    {Unlocker(stranger, u.ui()), ErrIdentity},
		"of another plugin":   {Unlocker(foreign, u.ui()), ErrIdentity},
		"not touched":         {Unlocker(identity, no.ui()), ErrPlugin},
		"wrong PIN":           {Unlocker(identity, wrong.ui()), ErrPlugin},
		"nobody there":        {Unlocker(identity, UI{}), ErrPlugin},
		"a recipient":         {Unlocker(to, u.ui()), ErrName},
		"an identity of age":  {Unlocker("AGE-SECRET-KEY-1QQ", u.ui()), ErrName},
		"a path in the name":  {Unlocker("AGE-PLUGIN-../X-1QQ", u.ui()), ErrName},
		"one wrong character": {Unlocker(identity[:len(identity)-1]+"Q", u.ui()), ErrName},
	} {
		if err := open(t.Context(), v, c.u); !errors.Is(err, c.want) || strings.Contains(err.Error(), identity) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if r, err := v.RotateKey(t.Context(), nil, Unlocker(identity, u.ui())); err != nil || !r.Done {
		t.Errorf("rotation: %+v %v", r, err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := open(t.Context(), v, Unlocker(identity, u.ui())); !errors.Is(err, ErrNoPlugin) {
		t.Errorf("uninstalled: %v", err)
	}
}

func TestMisbehavingPlugins(t *testing.T) {
	var names []string
	for name := range scripts() {
		names = append(names, name)
	}
	install(t, names...)
	for _, name := range names {
		if name == "hang" {
			continue
		}
		to, identity := pair(t, name)
		want := ErrProtocol
		if name == "refuses" {
			want = ErrPlugin
		}
		if _, err := create(t, Slot(to, UI{})); !errors.Is(err, want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s, wrap: %v", name, err)
		}
		if name == "silent" {
			want = ErrIdentity // it found nothing, which it may
		}
		_, err := unwrap(t.Context(), name, identity, []stanza{{"X", nil, []byte{1}}}, UI{})
		if !errors.Is(err, want) {
			t.Errorf("%s, unwrap: %v", name, err)
		}
	}
}

// A plugin that waits for a touch that never comes ends with the context.
func TestHangingPluginEnds(t *testing.T) {
	install(t, "hang")
	to, _ := pair(t, "hang")
	ctx, cancel := context.WithCancel(t.Context())
	ui := UI{Message: func(string, string) { cancel() }}
	if _, err := wrap(ctx, "hang", "add-recipient", to, make([]byte, 16), ui); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestDamagedData(t *testing.T) {
	for name, data := range map[string][]byte{"not CBOR": {0xff}, "empty map": {0xa0}, "zero": {0}} {
		v, err := create(t, vault.DeviceSlot(vault.SlotAgePlugin, "x", func(context.Context, []byte) ([]byte, error) { return data, nil }))
		if err != nil {
			t.Fatal(err)
		}
		_, identity := pair(t, "citest")
		if err := open(t.Context(), v, Unlocker(identity, UI{})); !errors.Is(err, ErrData) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := unwrap(t.Context(), "citest", "x", []stanza{{"X\n-> add-identity", nil, nil}}, UI{}); !errors.Is(err, ErrData) {
		t.Errorf("a stanza in a stanza: %v", err)
	}
}

func TestStanzaRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 47, 48, 49, 96, 1000} {
		in := stanza{"type", []string{"a", "b"}, bytes.Repeat([]byte{0xa5}, n)}
		var b bytes.Buffer
		if err := in.write(&b); err != nil {
			t.Fatal(err)
		}
		got, err := readStanza(bufio.NewReaderSize(&b, maxLine))
		if err != nil || got.Type != "type" || !reflect.DeepEqual(got.Args, in.Args) || !bytes.Equal(got.Body, in.Body) || b.Len() != 0 {
			t.Errorf("%d bytes: %+v %v", n, got, err)
		}
	}
}

func FuzzStanza(f *testing.F) {
	f.Add([]byte("-> type a b\nAAAA\n"))
	f.Add([]byte("-> e\n\r\n"))
	for _, s := range scripts() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := readStanza(bufio.NewReaderSize(bytes.NewReader(in), maxLine))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := s.write(&b); err != nil || !bytes.HasPrefix(in, b.Bytes()) {
			t.Fatalf("%q is written as %q", in, &b)
		}
	})
}
