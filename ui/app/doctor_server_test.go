package app

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// measuredImage is a machine as docs/measured-image.md wants it.
func measuredImage() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o600} }
	return fstest.MapFS{
		efivars + "SecureBoot" + globalVars:                 file("\x06\x00\x00\x00\x01"),
		efivars + "StubInfo" + loaderVars:                   file("systemd-stub"),
		"proc/cmdline":                                      file("quiet roothash=abcd lockdown=confidentiality"),
		"sys/block/dm-0/dm/uuid":                            file("CRYPT-VERITY-0123-root"),
		"proc/self/mountinfo":                               file("22 1 253:0 / / ro,relatime shared:1 - ext4 /dev/mapper/root ro\n23 22 0:5 / /run rw - tmpfs tmpfs rw"),
		"sys/kernel/security/lockdown":                      file("none integrity [confidentiality]"),
		"sys/module/module/parameters/sig_enforce":          file("Y"),
		"proc/swaps":                                        file("Filename Type Size Used Priority\n"),
		"proc/sys/kernel/core_pattern":                      file("|/bin/false"),
		"dev/tpmrm0":                                        file(""),
		"sys/kernel/security/tpm0/binary_bios_measurements": file("log"),
		"sys/devices/system/cpu/smt/active":                 file("0"),
	}
}

// Each rule holds on such an image, is told by name when it does not, and is not
// known where it cannot be looked at.
func TestDoctorOfAnImage(t *testing.T) {
	for _, f := range (image{measuredImage()}).all() {
		if f.State != Good {
			t.Errorf("%s: %s, %s", f.ID, f.State, f.Found)
		}
	}
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o666} }
	for id, change := range map[string]fstest.MapFS{
		"image.secureboot": {efivars + "SecureBoot" + globalVars: file("\x06\x00\x00\x00\x00")},
		"image.verity":     {"proc/cmdline": file("quiet root=/dev/sda1")},
		"image.readonly":   {"proc/self/mountinfo": file("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:5 / /run rw - tmpfs tmpfs rw")},
		"image.run":        {"proc/self/mountinfo": file("22 1 8:1 / / ro - ext4 /dev/sda1 rw\n23 22 0:5 / /run rw - ext4 /dev/sda2 rw")},
		"image.lockdown":   {"sys/kernel/security/lockdown": file("none [integrity] confidentiality")},
		"image.modules":    {"sys/module/module/parameters/sig_enforce": file("N")},
		"image.swap":       {"proc/swaps": file("Filename Type\n/dev/sda3 partition 1 0 -2")},
		"image.cores":      {"proc/sys/kernel/core_pattern": file("|/usr/lib/systemd/systemd-coredump %P")},
		"image.logins":     {"usr/bin/bash": file("")},
		"image.tpm":        {"dev/tpmrm0": file("")},
	} {
		m := measuredImage()
		maps.Copy(m, change)
		for _, f := range (image{m}).all() {
			if want := f.ID == id; (f.State == Warn) != want || want && f.Found == "" {
				t.Errorf("%s changed: %s is %s: %s", id, f.ID, f.State, f.Found)
			}
		}
	}
	for id, gone := range map[string]string{"image.uki": efivars + "StubInfo" + loaderVars, "image.eventlog": "sys/kernel/security/tpm0/binary_bios_measurements", "image.tpm": "dev/tpmrm0"} {
		m := measuredImage()
		delete(m, gone)
		i := slices.IndexFunc((image{m}).all(), func(f Finding) bool { return f.ID == id })
		if f := (image{m}).all()[i]; f.State != Warn || f.Do == "" {
			t.Errorf("%s gone: %+v", gone, f)
		}
	}
	for _, f := range (image{fstest.MapFS{}}).all() {
		if f.State == Good && f.ID != "image.logins" || f.State == Bad || strings.Contains(f.Found, "\x00") {
			t.Errorf("nothing can be seen, and %s is %s: %s", f.ID, f.State, f.Found)
		}
	}
}

// Two halves of verity are none.
func TestHalfVerity(t *testing.T) {
	m := measuredImage()
	delete(m, "sys/block/dm-0/dm/uuid")
	if f := (image{m}).verity(); f.State != Warn || !strings.Contains(f.Found, "half") {
		t.Errorf("%+v", f)
	}
}
