package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// image looks at what a measured image should be like (docs/measured-image.md),
// from inside the machine. root is the root of its files.
//
// What a machine says of itself proves nothing to anybody else: the quote does.
// This is for the operator who wants to know what is missing before somebody
// else tells him.
type image struct{ root fs.FS }

// DoctorServer looks whether this machine is like a measured image. Nothing is
// changed, nobody is asked.
func (a *App) DoctorServer() []Finding { return image{os.DirFS("/")}.all() }

func (m image) all() []Finding {
	return []Finding{m.secureBoot(), m.unified(), m.verity(), m.readOnly(), m.lockdown(), m.modules(), m.noSwap(), m.corePattern(), m.logins(), m.device(), m.eventLog(), m.run(), m.threads()}
}

// text is a file's text; known is false when it is not there or may not be read.
func (m image) text(name string) (s string, known bool) {
	b, err := fs.ReadFile(m.root, name)
	return strings.TrimSpace(string(b)), err == nil
}

// rule is a finding that holds, or does not, or cannot be told.
func rule(id string, known, holds bool, good, otherwise, do string) Finding {
	switch {
	case !known:
		return Finding{ID: id, State: Unknown, Found: "cannot be told from here: " + good + "?"}
	case holds:
		return Finding{ID: id, State: Good, Found: good}
	}
	return Finding{ID: id, State: Warn, Found: otherwise, Do: do}
}

const (
	efivars    = "sys/firmware/efi/efivars/"
	globalVars = "-8be4df61-93ca-11d2-aa0d-00e098032b8c" // UEFI 2.10, section 3.3
	loaderVars = "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f" // systemd's Boot Loader Interface
)

func (m image) secureBoot() Finding {
	b, err := fs.ReadFile(m.root, efivars+"SecureBoot"+globalVars)
	return rule("image.secureboot", err == nil && len(b) == 5, len(b) == 5 && b[4] == 1, "Secure Boot is on", "Secure Boot is off: any kernel may start", "enrol your keys and switch it on in the firmware")
}

func (m image) unified() Finding {
	_, efi := fs.Stat(m.root, strings.TrimSuffix(efivars, "/"))
	_, stub := fs.Stat(m.root, efivars+"StubInfo"+loaderVars)
	return rule("image.uki", efi == nil, stub == nil, "started from a unified kernel image", "not started from a unified kernel image: PCR 11 says nothing about the kernel", "build the image that docs/measured-image describes")
}

func (m image) verity() Finding {
	line, known := m.text("proc/cmdline")
	hash := slices.ContainsFunc(strings.Fields(line), func(w string) bool { return strings.HasPrefix(w, "roothash=") })
	device := false
	names, _ := fs.Glob(m.root, "sys/block/dm-*/dm/uuid")
	for _, n := range names {
		id, _ := m.text(n)
		device = device || strings.HasPrefix(id, "CRYPT-VERITY-")
	}
	do := "put the root on dm-verity with roothash= on the command line"
	if hash != device {
		return rule("image.verity", known, false, "", fmt.Sprintf("dm-verity is half there: roothash= on the command line %s, a device %s", yesNo(hash), yesNo(device)), do)
	}
	return rule("image.verity", known, hash, "the root file system is on dm-verity", "the root file system is not verified: who writes to the disk changes the program", do)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// mount is the options and the type of what is mounted at dir.
func (m image) mount(dir string) (options []string, kind string, known bool) {
	all, _ := m.text("proc/self/mountinfo")
	for l := range strings.Lines(all) {
		left, right, ok := strings.Cut(l, " - ")
		f := strings.Fields(left)
		if !ok || len(f) < 6 || f[4] != dir {
			continue
		}
		options, known = strings.Split(f[5], ","), true // the last one lies on top
		kind, _, _ = strings.Cut(right, " ")
	}
	return options, kind, known
}

func (m image) readOnly() Finding {
	options, kind, known := m.mount("/")
	holds := slices.Contains(options, "ro") || kind == "overlay" || kind == "tmpfs"
	return rule("image.readonly", known, holds, "the root cannot be written to, or what is written is gone after a restart", "the root can be written to", "mount it read-only, or with systemd.volatile=overlay")
}

func (m image) lockdown() Finding {
	s, known := m.text("sys/kernel/security/lockdown")
	return rule("image.lockdown", known, strings.Contains(s, "[confidentiality]"), "the kernel is locked down: root cannot read its memory", "the kernel is not locked down to confidentiality", "lockdown=confidentiality on the command line")
}

func (m image) modules() Finding {
	s, known := m.text("sys/module/module/parameters/sig_enforce")
	return rule("image.modules", known, s == "Y", "only signed kernel modules are loaded", "unsigned kernel modules can be loaded", "module.sig_enforce=1 on the command line")
}

func (m image) noSwap() Finding {
	s, known := m.text("proc/swaps")
	return rule("image.swap", known, len(strings.Split(s, "\n")) < 2, "no swap", "there is swap: memory is written to a disk", "swapoff, and no swap partition in the image")
}

func (m image) corePattern() Finding {
	s, known := m.text("proc/sys/kernel/core_pattern")
	return rule("image.cores", known, s == "" || s == "|/bin/false", "no crash of any program is kept", "crashes go to "+s+"; the server forbids them for itself", "sysctl kernel.core_pattern='|/bin/false'")
}

// logins looks for ways to sit down at the machine.
func (m image) logins() Finding {
	var there []string
	for _, p := range []string{"usr/sbin/sshd", "usr/bin/login", "usr/sbin/agetty", "usr/bin/sh", "usr/bin/bash", "bin/sh", "usr/bin/apt", "usr/bin/dpkg", "usr/bin/rpm"} {
		if _, err := fs.Stat(m.root, p); err == nil {
			there = append(there, "/"+p)
		}
	}
	return rule("image.logins", true, len(there) == 0, "no shell, login, SSH server or package manager was found", "there is a way to sit down at it: "+strings.Join(there, ", "), "leave them out of the image")
}

func (m image) device() Finding {
	i, err := fs.Stat(m.root, "dev/tpmrm0")
	if errors.Is(err, fs.ErrNotExist) {
		return Finding{ID: "image.tpm", State: Warn, Found: "no TPM: /dev/tpmrm0 is not there", Means: "a server here proves its protocol and nothing about the machine", Do: "use a machine with one, or give the virtual machine one"}
	}
	return rule("image.tpm", err == nil, err == nil && i.Mode().Perm()&0o006 == 0, "/dev/tpmrm0 is there, and not everybody's", "everybody on this machine may use /dev/tpmrm0", "a udev rule that gives it to the server's user alone")
}

func (m image) eventLog() Finding {
	_, err := fs.ReadFile(m.root, "sys/kernel/security/tpm0/binary_bios_measurements")
	known := err == nil || errors.Is(err, fs.ErrNotExist)
	return rule("image.eventlog", known, err == nil, "the firmware's event log can be read", "the firmware left no event log", "without it registers cannot be explained: look in the firmware's settings")
}

func (m image) run() Finding {
	_, kind, known := m.mount("/run")
	return rule("image.run", known, kind == "tmpfs", "/run is in memory", "/run is on a disk", "mount it as tmpfs")
}

// threads is a matter of policy, so it is told and not judged.
func (m image) threads() Finding {
	s, known := m.text("sys/devices/system/cpu/smt/active")
	if known && s == "1" {
		return Finding{ID: "image.smt", State: Good, Found: "processors run two threads each", Means: "if you share the machine with others, nosmt on the command line keeps them from a core that works on your data"}
	}
	return rule("image.smt", known, true, "a core runs one thread", "", "")
}
