package dcap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"cipherdeck/attest"
)

// Offsets in the report of an enclave (Intel SDM volume 3D, table "REPORT").
const (
	atMiscSelect = 16
	AtAttributes = 48
	AtMREnclave  = 64
	AtMRSigner   = 128
	atISVProdID  = 256
	atISVSVN     = 258
	AtReportData = 320
)

// Offsets in a TD report (Intel TDX module 1.0, TDREPORT as quotes have it).
const (
	atTeeTCB       = 0
	atMRSignerSEAM = 64
	atSEAMAttr     = 112
)

// platform finds the state that the processor, and for TDX its module, is in: the
// first level of which no part is newer.
func (i *tcbInfo) platform(x extensions, tee []byte) (Verdict, error) {
	for _, l := range i.Levels {
		if len(l.TCB.SGX) != 16 || l.TCB.PCESVN == nil || (tee != nil && len(l.TCB.TDX) != 16) {
			return Verdict{}, fmt.Errorf("%w: a level of the TCB info lacks components", ErrCollateral)
		}
		if *l.TCB.PCESVN > x.pceSVN || !reaches(x.comps[:], l.TCB.SGX) {
			continue
		}
		// From version 1 on the module has levels of its own, and its two parts stand
		// there.
		if tee != nil && tee[1] == 0 && !reaches(tee, l.TCB.TDX) || tee != nil && tee[1] > 0 && !reaches(tee[2:], l.TCB.TDX[2:]) {
			continue
		}
		return l.Verdict, nil
	}
	return Verdict{}, fmt.Errorf("%w: the processor's firmware is older than every level of the TCB info", ErrCollateral)
}

func reaches(have []byte, want []component) bool {
	for i, w := range want {
		if have[i] < w.SVN {
			return false
		}
	}
	return true
}

// module holds the TDX module of a TD report against what Intel made.
func (i *tcbInfo) module(td []byte) (Verdict, error) {
	tee := td[atTeeTCB : atTeeTCB+16]
	m, own := i.Module, Verdict{Status: statusUpToDate}
	if tee[1] > 0 {
		name := fmt.Sprintf("TDX_%02X", tee[1])
		at := slices.IndexFunc(i.Modules, func(m moduleInfo) bool { return m.ID == name })
		if at < 0 {
			return own, fmt.Errorf("%w: the TCB info knows no module %s", ErrCollateral, name)
		}
		m = &i.Modules[at]
		var err error
		if own, err = level(m.Levels, uint16(tee[0])); err != nil {
			return own, err
		}
	}
	switch {
	case m == nil || len(m.MRSigner) != 48 || len(m.Attributes) != 8 || len(m.Mask) != 8:
		return own, fmt.Errorf("%w: the TCB info does not say what the TDX module must be", ErrCollateral)
	case !bytes.Equal(m.MRSigner, td[atMRSignerSEAM:atMRSignerSEAM+48]):
		return own, fmt.Errorf("%w: the TDX module is signed by %s, not by Intel", ErrCollateral, attest.Short(td[atMRSignerSEAM:atMRSignerSEAM+48]))
	case !masked(td[atSEAMAttr:atSEAMAttr+8], m.Mask, m.Attributes):
		return own, fmt.Errorf("%w: the TDX module has attributes %x", ErrCollateral, td[atSEAMAttr:atSEAMAttr+8])
	}
	return own, nil
}

// enclave holds the report of the quoting enclave against its identity.
func (q *qeIdentity) enclave(r []byte) (Verdict, error) {
	misc, attr := r[atMiscSelect:atMiscSelect+4], r[AtAttributes:AtAttributes+16]
	switch {
	case len(q.MiscSelect) != 4 || len(q.MiscMask) != 4 || len(q.Attributes) != 16 || len(q.Mask) != 16 || len(q.MRSigner) != 32 || q.ISVProdID == nil:
		return Verdict{}, fmt.Errorf("%w: the QE identity lacks fields", ErrCollateral)
	case !bytes.Equal(q.MRSigner, r[AtMRSigner:AtMRSigner+32]):
		return Verdict{}, fmt.Errorf("%w: the quoting enclave is signed by %s, not by Intel", ErrCollateral, attest.Short(r[AtMRSigner:AtMRSigner+32]))
	case binary.LittleEndian.Uint16(r[atISVProdID:]) != *q.ISVProdID:
		return Verdict{}, fmt.Errorf("%w: the quoting enclave is product %d, want %d", ErrCollateral, binary.LittleEndian.Uint16(r[atISVProdID:]), *q.ISVProdID)
	case !masked(misc, q.MiscMask, q.MiscSelect) || !masked(attr, q.Mask, q.Attributes):
		return Verdict{}, fmt.Errorf("%w: the quoting enclave has attributes %x, miscselect %x", ErrCollateral, attr, misc)
	}
	return level(q.Levels, binary.LittleEndian.Uint16(r[atISVSVN:]))
}

func masked(have, mask, want []byte) bool {
	for i := range have {
		if have[i]&mask[i] != want[i] {
			return false
		}
	}
	return true
}

// level is the first state that is not newer than svn.
func level(all []isvTCB, svn uint16) (Verdict, error) {
	for _, l := range all {
		if l.TCB.ISVSVN != nil && *l.TCB.ISVSVN <= svn {
			return l.Verdict, nil
		}
	}
	return Verdict{}, fmt.Errorf("%w: security version %d is older than every level", ErrCollateral, svn)
}

// The statuses that are accepted; every other one is not.
const (
	statusUpToDate  = "UpToDate"
	statusHardening = "SWHardeningNeeded" // up to date; software must do its part
)

// judged is the state of a link for what Intel says of platform, module and
// quoting enclave together.
func judged(parts map[string]Verdict) (attest.State, string) {
	state, text := attest.Pass, "firmware and quoting enclave are up to date"
	for _, name := range []string{"processor", "TDX module", "quoting enclave"} {
		v, ok := parts[name]
		switch {
		case !ok || v.Status == statusUpToDate:
			continue
		case v.Status != statusHardening:
			return attest.Fail, fmt.Sprintf("%s: Intel says %s%s", name, safe(fmt.Errorf("%.40s", v.Status)), advisories(v))
		}
		state, text = attest.Warn, name+": up to date, and the program must do its part ("+statusHardening+")"+advisories(v)
	}
	return state, text
}

func advisories(v Verdict) string {
	if len(v.Advisories) == 0 {
		return ""
	}
	return ", " + safe(fmt.Errorf("%.80s", strings.Join(v.Advisories, ", ")))
}
