package bootlog

import "fmt"

// Event types (PC Client Platform Firmware Profile 1.06, section 10.4.1).
const (
	evPrebootCert     = 0x00000000
	evPostCode        = 0x00000001
	evNoAction        = 0x00000003
	evSeparator       = 0x00000004
	evAction          = 0x00000005
	evEventTag        = 0x00000006
	evCRTMContents    = 0x00000007
	evCRTMVersion     = 0x00000008
	evCPUMicrocode    = 0x00000009
	evPlatformConfig  = 0x0000000A
	evTableOfDevices  = 0x0000000B
	evCompactHash     = 0x0000000C
	evIPL             = 0x0000000D
	evIPLPartition    = 0x0000000E
	evNonhostCode     = 0x0000000F
	evNonhostConfig   = 0x00000010
	evNonhostInfo     = 0x00000011
	evOmitBoot        = 0x00000012
	evVariableConfig  = 0x80000001
	evVariableBoot    = 0x80000002
	evBootServicesApp = 0x80000003
	evBootServicesDrv = 0x80000004
	evRuntimeDrv      = 0x80000005
	evGPT             = 0x80000006
	evEFIAction       = 0x80000007
	evFirmwareBlob    = 0x80000008
	evHandoffTables   = 0x80000009
	evFirmwareBlob2   = 0x8000000A
	evHandoffTables2  = 0x8000000B
	evVariableBoot2   = 0x8000000C
	evVariableAuth    = 0x800000E0
	evSPDMFirmware    = 0x800000E1
)

func typeName(t uint32) string {
	names := map[uint32]string{
		evPrebootCert: "PREBOOT_CERT", evPostCode: "POST_CODE", evNoAction: "NO_ACTION", evSeparator: "SEPARATOR", evAction: "ACTION",
		evEventTag: "EVENT_TAG", evCRTMContents: "S_CRTM_CONTENTS", evCRTMVersion: "S_CRTM_VERSION", evCPUMicrocode: "CPU_MICROCODE",
		evPlatformConfig: "PLATFORM_CONFIG_FLAGS", evTableOfDevices: "TABLE_OF_DEVICES", evCompactHash: "COMPACT_HASH", evIPL: "IPL",
		evIPLPartition: "IPL_PARTITION_DATA", evNonhostCode: "NONHOST_CODE", evNonhostConfig: "NONHOST_CONFIG", evNonhostInfo: "NONHOST_INFO",
		evOmitBoot: "OMIT_BOOT_DEVICE_EVENTS", evVariableConfig: "EFI_VARIABLE_DRIVER_CONFIG", evVariableBoot: "EFI_VARIABLE_BOOT",
		evBootServicesApp: "EFI_BOOT_SERVICES_APPLICATION", evBootServicesDrv: "EFI_BOOT_SERVICES_DRIVER", evRuntimeDrv: "EFI_RUNTIME_SERVICES_DRIVER",
		evGPT: "EFI_GPT_EVENT", evEFIAction: "EFI_ACTION", evFirmwareBlob: "EFI_PLATFORM_FIRMWARE_BLOB", evHandoffTables: "EFI_HANDOFF_TABLES",
		evFirmwareBlob2: "EFI_PLATFORM_FIRMWARE_BLOB2", evHandoffTables2: "EFI_HANDOFF_TABLES2", evVariableBoot2: "EFI_VARIABLE_BOOT2",
		evVariableAuth: "EFI_VARIABLE_AUTHORITY", evSPDMFirmware: "EFI_SPDM_FIRMWARE_BLOB",
	}
	if n, ok := names[t]; ok {
		return n
	}
	return fmt.Sprintf("type %08x", t)
}

// hashesData reports whether an event of this type measures its own data, so
// that the digest covers what is shown. Others measure something else, such as
// the image of which the data gives the path.
func hashesData(t uint32) bool {
	switch t {
	case evSeparator, evAction, evEFIAction, evCRTMVersion, evVariableConfig, evVariableBoot2, evVariableAuth, evGPT, evTableOfDevices, evNonhostInfo:
		return true
	}
	return false
}

// Meaning is what a register is for.
func Meaning(pcr uint8) string {
	switch pcr {
	case 0:
		return "firmware code"
	case 1:
		return "firmware configuration"
	case 2:
		return "option ROMs and drivers"
	case 3:
		return "option ROM configuration"
	case 4:
		return "boot loader and kernel image"
	case 5:
		return "boot configuration and partitions"
	case 6:
		return "host platform events"
	case 7:
		return "Secure Boot state and keys"
	case 8:
		return "boot loader commands (GRUB)"
	case 9:
		return "files read by the boot loader, initrd"
	case 10:
		return "files opened, as the kernel saw them (IMA)"
	case 11:
		return "unified kernel image, boot phases (systemd)"
	case 12:
		return "kernel command line, credentials from outside"
	case 13:
		return "system extensions"
	case 14:
		return "this server's own log"
	case 15:
		return "machine id, unlocked volumes (systemd)"
	case 16:
		return "debug: anybody can reset it, it proves nothing"
	case 23:
		return "applications: anybody can reset it, it proves nothing"
	}
	if pcr >= 17 && pcr <= 22 {
		return "measured launch (DRTM)"
	}
	return ""
}
