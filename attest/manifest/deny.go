package manifest

import (
	"bytes"
	"fmt"
	"slices"

	"cipherdeck/attest"
)

// Denied says what of v, or of the certificate serials in hex, is on the deny
// list of o, for a person; "" when nothing is. Errors wrap ErrRollback when the
// list is older than one seen before.
func (o Opened) Denied(v *attest.Verdict, p attest.Policy, serials ...string) (string, error) {
	d := o.Deny
	if d.Version < p.MinDeny {
		return "", fmt.Errorf("%w: deny list %d, want at least %d", ErrRollback, d.Version, p.MinDeny)
	}
	for _, s := range serials {
		if slices.Contains(d.EKSerials, s) {
			return fmt.Sprintf("certificate %s is denied%s", s, why(d)), nil
		}
	}
	for _, n := range d.AKNames {
		if bytes.Equal(n, v.AKName) {
			return fmt.Sprintf("AK %s is denied%s", attest.Short(n), why(d)), nil
		}
	}
	if slices.Contains(d.Manifests, o.Version) {
		return fmt.Sprintf("manifest %d is denied%s", o.Version, why(d)), nil
	}
	for _, b := range d.Binaries {
		if bytes.Equal(b, v.Measured["binary"]) {
			return fmt.Sprintf("program %s is denied%s", attest.Short(b), why(d)), nil
		}
	}
	return "", nil
}

// why is the list's own word, for a person; whoever shows it makes it safe.
func why(d attest.Deny) string {
	if d.Note == "" {
		return ""
	}
	return ": " + d.Note
}
