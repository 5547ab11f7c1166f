package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cipherdeck/vault"
	"cipherdeck/vault/agent"
	"cipherdeck/vault/pkcs11"
	"cipherdeck/vault/tpm"
)

// keyring reads the vault's entry, or one that does not exist, and throws it
// away.
func (d *doctor) keyring(ctx context.Context) Finding {
	f := Finding{ID: "keyring", State: Good, Found: "the OS keyring answers"}
	if d.a.cfg.NoKeyring {
		return Finding{ID: "keyring", State: Unknown, Found: "not asked"}
	}
	entry, needed := "doctor", false
	for _, s := range d.file.Slots {
		if s.Entry != "" {
			entry, needed = s.Entry, true
		}
	}
	secret, err := d.a.keyring(entry).Get(ctx)
	clear(secret)
	if err == nil || errors.Is(err, vault.ErrKeyringMissing) && !needed {
		return f
	}
	f.State = Warn
	switch {
	case errors.Is(err, vault.ErrKeyringMissing):
		f.State, f.Found, f.Means = Bad, "the OS keyring has no entry of this vault", "the slot opens nothing"
		f.Do = "take the slot away, or replace it: cipherdeck vault keyring --replace ID"
	case errors.Is(err, vault.ErrKeyringMismatch):
		f.State, f.Found, f.Do = Bad, "the OS keyring's entry is not a key of this program", "replace the slot: cipherdeck vault keyring --replace ID"
	case errors.Is(err, vault.ErrKeyringAbsent):
		f.Found, f.Do = "no keyring service runs in this session", "start the desktop's, or open the vault in another way"
	case errors.Is(err, vault.ErrKeyringLocked):
		f.Found, f.Do = "the OS keyring is locked and was not unlocked", "unlock it in the desktop's own program"
	case errors.Is(err, vault.ErrKeyringDenied):
		f.Found, f.Do = "the OS keyring refused access", "look at its rules for other programs"
	case errors.Is(err, vault.ErrKeyringTimeout):
		f.Found, f.Means, f.Do = "the OS keyring did not answer in time", "it hangs, or waits at a prompt of its own", "look for its window; or use --no-keyring"
	default:
		f.Found = err.Error()
	}
	if !needed && f.State == Warn {
		f.State, f.Means, f.Do = Good, "no slot of the vault needs it", ""
	}
	return f
}

func (d *doctor) kernel(ctx context.Context) Finding {
	k, err := d.a.kernelKey(0)
	if err == nil {
		var b []byte
		b, err = k.Get(ctx)
		clear(b)
	}
	switch {
	case err == nil:
		return Finding{ID: "kernel", State: Warn, Found: "the kernel's keyring holds the vault's key (vault remember)", Means: "every program of yours can read it until its time is over", Do: "when you need it no more: cipherdeck vault forget"}
	case errors.Is(err, vault.ErrKeyringMissing):
		return Finding{ID: "kernel", State: Good, Found: "the kernel's keyring can be used, and holds nothing of this vault"}
	case d.err != nil:
		return Finding{ID: "kernel", State: Unknown, Found: "not asked: there is no vault"}
	}
	return Finding{ID: "kernel", State: Good, Found: "the kernel's keyring cannot be used here", Means: "vault remember does not work; nothing else needs it"}
}

func (d *doctor) agent(ctx context.Context) Finding {
	pid, err := agent.Client{}.PID(ctx)
	switch {
	case errors.Is(err, agent.ErrNoAgent), errors.Is(err, agent.ErrUnsupported):
		return Finding{ID: "agent", State: Good, Found: "no unlock agent runs", Means: "each command opens the vault by itself"}
	case err != nil:
		return Finding{ID: "agent", State: Bad, Found: err.Error(), Means: "commands do not use it", Do: Explain(err).Cure}
	}
	f := Finding{ID: "agent", State: Good, Found: fmt.Sprintf("the agent runs (process %d), and no other program of yours can read its memory", pid)}
	switch hardened, known := d.hardened(pid); {
	case !known:
		f.State, f.Found = Unknown, fmt.Sprintf("the agent runs (process %d); whether its memory can be read cannot be told from here", pid)
	case !hardened:
		f.State, f.Found = Bad, fmt.Sprintf("other programs of yours can read the memory of process %d, which listens where the agent does", pid)
		f.Do = "end it, find out what it is, and start: cipherdeck agent"
	}
	return f
}

func (d *doctor) tpm() Finding {
	needed := d.has(vault.SlotTPM)
	dev, err := tpm.Device(d.a.cfg.Devices.TPM)()
	if err == nil {
		return Finding{ID: "tpm", State: Good, Found: "a TPM can be used"}.with(dev.Close())
	}
	f := Finding{ID: "tpm", State: Good, Found: "no TPM can be used: " + err.Error(), Means: "no slot of the vault needs one"}
	if needed {
		f.State, f.Means, f.Do = Bad, "the vault's TPM slot does not open here", "say which with --tpm PATH; who may use /dev/tpmrm0 is in the group tss on most systems"
	}
	return f
}

// with adds an error that changes nothing.
func (f Finding) with(err error) Finding {
	if err != nil {
		f.Means = err.Error()
	}
	return f
}

func (d *doctor) pkcs11() Finding {
	path, err := pkcs11.Find(d.a.cfg.Devices.PKCS11)
	switch {
	case err == nil:
		return Finding{ID: "pkcs11", State: Good, Found: "the program for PKCS#11 tokens is " + path}
	case d.has(vault.SlotPKCS11):
		return Finding{ID: "pkcs11", State: Bad, Found: err.Error(), Means: "the vault's PKCS#11 slot does not open here", Do: "put cipherdeck-pkcs11 beside this program or in the PATH: make pkcs11"}
	}
	return Finding{ID: "pkcs11", State: Good, Found: "no program for PKCS#11 tokens", Means: "no slot of the vault needs one"}
}

func (d *doctor) plugins() Finding {
	var names []string
	for _, dir := range filepath.SplitList(d.path) {
		found, _ := filepath.Glob(filepath.Join(dir, "age-plugin-*")) // only a bad pattern is an error
		for _, p := range found {
			if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 && !slices.Contains(names, filepath.Base(p)) {
				names = append(names, filepath.Base(p))
			}
		}
	}
	switch {
	case len(names) > 0:
		return Finding{ID: "plugins", State: Good, Found: "age plugins: " + strings.Join(names, ", ")}
	case d.has(vault.SlotAgePlugin):
		return Finding{ID: "plugins", State: Bad, Found: "no age plugin is in the PATH", Means: "the vault's slot for one does not open here", Do: "install it"}
	}
	return Finding{ID: "plugins", State: Good, Found: "no age plugin is in the PATH", Means: "no slot of the vault needs one"}
}
