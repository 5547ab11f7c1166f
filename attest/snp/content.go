package snp

import (
	"encoding/binary"
	"fmt"

	"github.com/google/go-sev-guest/abi"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	"github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"

	"cipherdeck/attest"
	"cipherdeck/attest/report"
)

// signature verifies chain and report once more by the module, which also holds
// the certificate against AMD's rules for names and algorithms.
func (r *reading) signature(t *report.Trial) error {
	a := &spb.Attestation{Report: r.report, CertificateChain: &spb.CertificateChain{VcekCert: r.cert.Raw}}
	err := verify.SnpAttestation(a, &verify.Options{
		DisableCertFetching: true, Now: t.X.Now, TrustedRoots: map[string][]*trust.AMDRootCerts{r.line: {r.root}},
	})
	if err != nil {
		return fmt.Errorf("%w: %s", ErrReport, safe(err))
	}
	t.Data, t.Measurement = r.report.GetReportData(), r.report.GetMeasurement()
	return nil
}

// debug reads the guest's policy (section 4.3) and who asked for the report. A
// host asks with level 2^32-1, and chooses the free data itself.
func (r *reading) debug(t *report.Trial) (attest.State, string) {
	p, err := abi.ParseSnpPolicy(r.report.GetPolicy())
	var policy [8]byte
	binary.LittleEndian.PutUint64(policy[:], r.report.GetPolicy())
	t.Show("guest policy", policy[:])
	switch {
	case err != nil:
		return attest.Fail, safe(err)
	case p.Debug:
		return attest.Fail, "the guest's policy allows the host to debug it"
	case p.MigrateMA:
		return attest.Fail, "the guest's policy allows a migration agent, which holds its memory"
	case r.report.GetVmpl() != 0:
		return attest.Fail, fmt.Sprintf("asked for at privilege level %d, want 0", r.report.GetVmpl())
	}
	smt := "not shared with another guest's thread"
	if p.SMT {
		smt = "sibling threads are allowed"
	}
	return attest.Pass, fmt.Sprintf("no debugger, no migration agent, level 0; %s", smt)
}

// tcb holds three versions against each floor, byte by byte: what signed the
// report, what the firmware cannot go back behind, and what started the guest.
// A byte is one part of the version, whatever the line of processors calls it;
// Turin orders them differently, so a fleet of both has a manifest for each.
func (r *reading) tcb(t *report.Trial, floors []attest.Floor) (attest.State, string) {
	for _, v := range []struct {
		name string
		tcb  uint64
	}{{"reported", r.report.GetReportedTcb()}, {"committed", r.report.GetCommittedTcb()}, {"launch", r.report.GetLaunchTcb()}} {
		t.Show(v.name+" TCB", binary.BigEndian.AppendUint64(nil, v.tcb))
		for _, f := range floors {
			if i := below(v.tcb, f.TCB); i >= 0 {
				return attest.Fail, fmt.Sprintf("%s TCB %016x is below the floor %016x in byte %d", v.name, v.tcb, f.TCB, i)
			}
		}
	}
	if len(floors) == 0 {
		return attest.Warn, fmt.Sprintf("TCB %016x; the manifest has no floor for it", r.report.GetReportedTcb())
	}
	return attest.Pass, fmt.Sprintf("TCB %016x is not below %d floors", r.report.GetReportedTcb(), len(floors))
}

// below is the first byte, from the lowest, in which tcb is under floor; -1
// when there is none.
func below(tcb, floor uint64) int {
	for i := range 8 {
		if byte(tcb>>(8*i)) < byte(floor>>(8*i)) {
			return i
		}
	}
	return -1
}
