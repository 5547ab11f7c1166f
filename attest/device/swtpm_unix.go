//go:build unix

package device

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// startLimit is how long swtpm may take to listen.
const startLimit = 10 * time.Second

// openSwtpm runs swtpm on the state in dir, which it makes the first time with
// certificates of an authority of its own, as a maker would.
func openSwtpm(dir string) (*Device, error) {
	state := filepath.Join(dir, "swtpm")
	if _, err := os.Stat(filepath.Join(state, "tpm2-00.permall")); errors.Is(err, fs.ErrNotExist) {
		if err := manufacture(state); err != nil {
			return nil, err
		}
	}
	// A socket's path may have 107 bytes only, so it does not lie in dir.
	socks, err := os.MkdirTemp("", "swtpm")
	if err != nil {
		return nil, fmt.Errorf("%w: swtpm: %w", ErrSpec, err)
	}
	d, err := runSwtpm(state, socks)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(socks))
	}
	return d, nil
}

func runSwtpm(state, socks string) (*Device, error) {
	sock := filepath.Join(socks, "tpm")
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state,
		"--server", "type=unixio,path="+sock, "--ctrl", "type=unixio,path="+filepath.Join(socks, "ctrl"),
		"--flags", "not-need-init,startup-clear")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard // it says something about every command
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: swtpm: %w; is package swtpm installed?", ErrSpec, err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	stop := func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-exited
		return os.RemoveAll(socks)
	}
	if err := listening(sock, exited); err != nil {
		return nil, errors.Join(err, stop())
	}
	tpm, err := linuxudstpm.Open(sock)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: swtpm: %w", ErrDead, err), stop())
	}
	return &Device{TPM: tpm, Kind: Swtpm, close: func() error { return errors.Join(tpm.Close(), stop()) }}, nil
}

// listening returns when somebody answers on sock.
func listening(sock string, exited <-chan struct{}) error {
	end := time.After(startLimit)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-exited:
			return fmt.Errorf("%w: swtpm ended at once: is its state in use by another?", ErrDead)
		case <-end:
			return fmt.Errorf("%w: swtpm does not listen", ErrDead)
		case <-look.C:
		}
		if c, err := net.Dial("unix", sock); err == nil {
			return c.Close()
		}
	}
}

// manufacture makes the state of a new TPM with endorsement key certificates.
// It is made aside, so that a half-made one is not taken for whole.
func manufacture(state string) error {
	if _, err := exec.LookPath("swtpm_setup"); err != nil {
		return fmt.Errorf("%w: swtpm_setup is not installed (package swtpm-tools)", ErrSpec)
	}
	aside := state + ".new"
	if err := errors.Join(os.RemoveAll(aside), os.MkdirAll(aside, 0o700)); err != nil {
		return fmt.Errorf("%w: swtpm: %w", ErrSpec, err)
	}
	conf, err := authority(aside, state)
	if err != nil {
		return fmt.Errorf("%w: swtpm: %w", ErrSpec, err)
	}
	cmd := exec.Command("swtpm_setup", "--tpm2", "--tpmstate", aside, "--config", conf,
		"--create-ek-cert", "--create-platform-cert", "--lock-nvram", "--pcr-banks", "sha256,sha384")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: swtpm_setup: %w: %s", ErrSpec, err, strings.TrimSpace(lastLine(out)))
	}
	if err := os.Rename(aside, state); err != nil {
		return fmt.Errorf("%w: swtpm: %w", ErrSpec, err)
	}
	return nil
}

// authority writes the configuration of swtpm's local certificate authority,
// whose keys stay beside the state.
func authority(dir, final string) (string, error) {
	ca := filepath.Join(filepath.Dir(final), "swtpm-ca")
	if err := os.MkdirAll(ca, 0o700); err != nil {
		return "", err
	}
	files := map[string]string{
		"localca.conf": "statedir = " + ca + "\n" +
			"signingkey = " + ca + "/signkey.pem\n" +
			"issuercert = " + ca + "/issuercert.pem\n" +
			"certserial = " + ca + "/certserial\n",
		"localca.options": "--platform-manufacturer cipherdeck\n--platform-version 1\n--platform-model test\n",
		"setup.conf": "create_certs_tool = swtpm_localca\n" +
			"create_certs_tool_config = " + dir + "/localca.conf\n" +
			"create_certs_tool_options = " + dir + "/localca.options\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "setup.conf"), nil
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// LocalRoot is the certificate of swtpm's local authority in dir, in PEM.
// It is what a user pins to accept such a TPM as a virtual one.
func LocalRoot(dir string) string {
	return filepath.Join(dir, "swtpm-ca", "swtpm-localca-rootca-cert.pem")
}
