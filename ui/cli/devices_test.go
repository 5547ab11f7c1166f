package cli_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"filippo.io/age"
	"filippo.io/age/plugin"
	"github.com/rogpeppe/go-internal/testscript"
)

// swtpm VAR: start a software TPM of its own process and set VAR to its socket.
// [exec:swtpm] tells whether there is one.
func swtpm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: swtpm VAR")
	}
	dir, err := os.MkdirTemp("", "swtpm") // a path short enough for a socket
	ts.Check(err)
	sock := filepath.Join(dir, "s")
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+sock,
		"--ctrl", "type=unixio,path="+filepath.Join(dir, "c"), "--flags", "not-need-init,startup-clear")
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	for {
		c, err := net.Dial("unix", sock)
		if err == nil {
			ts.Check(c.Close())
			break
		}
		pause()
	}
	ts.Setenv(args[0], sock)
}

// paperPlugin is an age plugin in software whose identity is an X25519 key with
// another name in front: what a plugin for a device does, without the device.
func paperPlugin() int {
	p, err := plugin.New("paper")
	if err != nil {
		return 1
	}
	p.HandleRecipient(func(data []byte) (age.Recipient, error) {
		return age.ParseX25519Recipient(string(data))
	})
	p.HandleIdentity(func(data []byte) (age.Identity, error) {
		if len(data) == 0 {
			return nil, errors.New("an identity without a key")
		}
		return age.ParseX25519Identity(string(data))
	})
	if len(os.Args) == 2 && os.Args[1] == "--new" {
		return newPaper()
	}
	return p.Main()
}

// newPaper prints a recipient and an identity, one a line.
func newPaper() int {
	k, err := age.GenerateX25519Identity()
	if err != nil {
		return 1
	}
	_, _ = os.Stdout.WriteString(plugin.EncodeRecipient("paper", []byte(k.Recipient().String())) + "\n" + plugin.EncodeIdentity("paper", []byte(k.String())) + "\n")
	return 0
}

// softhsm is where distributions put SoftHSM's library, "" if it is not there.
func softhsm() string {
	found, _ := filepath.Glob("/usr/lib/*/softhsm/libsofthsm2.so")
	found = append(found, "/usr/lib/softhsm/libsofthsm2.so")
	return found[0]
}

// pkcs11: build the program that loads libraries of tokens, beside the other.
func pkcs11Helper(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command("go", "build", "-o", filepath.Join(bin, "cipherdeck-pkcs11"), "cipherdeck/vault/pkcs11/cipherdeck-pkcs11")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("build the helper: %v\n%s", err, out)
	}
}
