package bootlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"

	"cipherdeck/attest/wire"
)

// describe says in words what an event measured. covered reports whether the
// words are made of data that is hashed whole.
func describe(e event) (text string, covered bool) {
	switch e.typ {
	case evSeparator:
		return separator(e.data), true
	case evVariableConfig, evVariableBoot, evVariableBoot2, evVariableAuth:
		v, ok := variable(e.data)
		if !ok {
			return fmt.Sprintf("a variable that cannot be read, %d bytes", len(e.data)), false
		}
		return Clean(v.describe()), true
	case evBootServicesApp, evBootServicesDrv, evRuntimeDrv:
		return Clean(imagePath(e.data)), false
	case evIPL, evAction, evEFIAction, evPostCode, evOmitBoot:
		return Clean(printable(e.data)), true
	case evCRTMVersion:
		return Clean(printable(e.data)), true
	case evEventTag:
		return Clean(tagged(e.data)), false
	case evGPT:
		return fmt.Sprintf("partition table, %d bytes", len(e.data)), true
	}
	return fmt.Sprintf("%d bytes", len(e.data)), false
}

func separator(data []byte) string {
	if len(data) == 4 && (binary.LittleEndian.Uint32(data) == 0 || binary.LittleEndian.Uint32(data) == 0xFFFFFFFF) {
		return "end of firmware, start of the boot loader"
	}
	return "firmware reported an error"
}

// printable is text in ASCII or UTF-16, up to its end mark.
func printable(b []byte) string {
	if len(b) >= 4 && len(b)%2 == 0 && b[1] == 0 && b[3] == 0 {
		return wide(b)
	}
	return string(bytes.TrimRight(b, "\x00"))
}

func wide(b []byte) string {
	var u []uint16
	for i := 0; i+1 < len(b); i += 2 {
		c := binary.LittleEndian.Uint16(b[i:])
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}

// efiVariable is a UEFI_VARIABLE_DATA.
type efiVariable struct {
	name string
	data []byte
}

func variable(b []byte) (v efiVariable, ok bool) {
	r := &wire.Little{Left: b}
	r.Take(16) // whose variable
	n, m := r.U64(), r.U64()
	if n > 1024 || m > uint64(len(b)) {
		return v, false
	}
	v.name = wide(r.Take(int(n) * 2))
	v.data = r.Take(int(m))
	return v, !r.Bad && len(r.Left) == 0
}

func (v efiVariable) describe() string {
	switch {
	case v.name == "SecureBoot" || v.name == "SetupMode" || v.name == "AuditMode" || v.name == "DeployedMode":
		if len(v.data) == 1 {
			return fmt.Sprintf("%s = %d", v.name, v.data[0])
		}
		return v.name + " is not set"
	case v.name == "PK" || v.name == "KEK" || v.name == "db" || v.name == "dbx" || v.name == "dbt":
		return fmt.Sprintf("%s: %s", v.name, keyList(v.data))
	case strings.HasPrefix(v.name, "Boot") && len(v.name) == 8 && len(v.data) > 6:
		return fmt.Sprintf("%s: %s", v.name, wide(v.data[6:])) // after attributes and a length
	}
	return fmt.Sprintf("%s, %d bytes", v.name, len(v.data))
}

// keyList counts what an EFI_SIGNATURE_LIST holds.
func keyList(b []byte) string {
	lists, entries := 0, 0
	r := &wire.Little{Left: b}
	for len(r.Left) > 0 && !r.Bad {
		r.Take(16) // type
		total, head, each := r.U32(), r.U32(), r.U32()
		body := r.Take(int(total) - 28)
		if r.Bad || each == 0 || head > uint32(len(body)) {
			return fmt.Sprintf("%d bytes that are no list of keys", len(b))
		}
		lists++
		entries += (len(body) - int(head)) / int(each)
	}
	if lists == 0 {
		return "empty"
	}
	return fmt.Sprintf("%d keys or digests in %d lists, %d bytes", entries, lists, len(b))
}

// imagePath is the file in the device path of a UEFI_IMAGE_LOAD_EVENT. The
// digest is of the image, not of its path.
func imagePath(b []byte) string {
	r := &wire.Little{Left: b}
	r.Take(24) // where it was loaded, how long, where it was linked for
	n := r.U64()
	if r.Bad || n > uint64(len(r.Left)) {
		return "an image whose path cannot be read"
	}
	path := &wire.Little{Left: r.Take(int(n))}
	for !path.Bad && len(path.Left) >= 4 {
		typ, sub, size := path.U8(), path.U8(), int(path.U16())
		body := path.Take(size - 4)
		if typ == 4 && sub == 4 && !path.Bad {
			return wide(body)
		}
		if typ == 0x7F {
			break
		}
	}
	return "an image from the firmware or a device"
}

// tagged is the text of a TCG_PCClientTaggedEvent, which systemd-stub and Linux
// write for command line and initrd.
func tagged(b []byte) string {
	r := &wire.Little{Left: b}
	tag := r.U32()
	body := r.Sized(MaxBytes)
	if r.Bad {
		return fmt.Sprintf("%d bytes", len(b))
	}
	return fmt.Sprintf("%08x: %s", tag, printable(body))
}

// secureBoot is what the log says of Secure Boot: the variable as it was
// measured into PCR 7 before the separator, by digests that cover it.
func (l *log) secureBoot() (known, on bool) {
	for _, e := range l.events {
		if e.pcr != 7 {
			continue
		}
		if e.typ == evSeparator {
			break
		}
		if e.typ != evVariableConfig {
			continue
		}
		if v, ok := variable(e.data); ok && v.name == "SecureBoot" {
			return true, len(v.data) == 1 && v.data[0] == 1
		}
	}
	return false, false
}
