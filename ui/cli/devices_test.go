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
