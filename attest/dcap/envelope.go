package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// open is the signed member of an envelope as Intel publishes it:
//
//	{"NAME":{…},"signature":"128 hex digits"}
//
// The envelope itself is not signed, and who reads it as any JSON can be made to
// verify one member and use another ("NAME" and "name", or a name twice). So it
// has one form here, to the byte; and what is returned is what was verified.
func open(name string, raw []byte, key *ecdsa.PublicKey) ([]byte, error) {
	raw = bytes.TrimRight(raw, "\r\n")
	head, middle, tail := []byte(`{"`+name+`":`), []byte(`,"signature":"`), []byte(`"}`)
	end := len(raw) - len(tail) - 2*pointSize - len(middle)
	if end < len(head) || !bytes.HasPrefix(raw, head) || !bytes.HasSuffix(raw, tail) || !bytes.HasPrefix(raw[end:], middle) {
		return nil, fmt.Errorf("%w: want %s{…}%s…%s, as Intel publishes it", ErrCollateral, head, middle, tail)
	}
	member := raw[len(head):end]
	sig, err := hex.DecodeString(string(raw[end+len(middle) : len(raw)-len(tail)]))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: its signature is not hex", ErrCollateral, name)
	}
	if len(member) == 0 || member[0] != '{' || !json.Valid(member) {
		return nil, fmt.Errorf("%w: member %s is not one JSON object", ErrCollateral, name)
	}
	if !signed(key, member, sig) {
		return nil, fmt.Errorf("%w: %s is not signed by the signer given", ErrCollateral, name)
	}
	return member, nil
}

// tcbInfo is Intel's list of firmware states, newest first (PCS API v4, "TCB Info
// V3").
type tcbInfo struct {
	ID         string        `json:"id"`
	Version    int           `json:"version"`
	IssueDate  time.Time     `json:"issueDate"`
	NextUpdate time.Time     `json:"nextUpdate"`
	FMSPC      hexBytes      `json:"fmspc"`
	PCEID      hexBytes      `json:"pceId"`
	TCBType    int           `json:"tcbType"`
	Number     uint64        `json:"tcbEvaluationDataNumber"`
	Module     *moduleInfo   `json:"tdxModule"`
	Modules    []moduleInfo  `json:"tdxModuleIdentities"`
	Levels     []platformTCB `json:"tcbLevels"`
}

// moduleInfo is what a TDX module must be.
type moduleInfo struct {
	ID         string   `json:"id"` // "TDX_01", … in the list
	MRSigner   hexBytes `json:"mrsigner"`
	Attributes hexBytes `json:"attributes"`
	Mask       hexBytes `json:"attributesMask"`
	Levels     []isvTCB `json:"tcbLevels"`
}

// platformTCB is one state of a platform.
type platformTCB struct {
	TCB struct {
		SGX    []component `json:"sgxtcbcomponents"`
		TDX    []component `json:"tdxtcbcomponents"`
		PCESVN *uint16     `json:"pcesvn"`
	} `json:"tcb"`
	Verdict
}

type component struct {
	SVN byte `json:"svn"`
}

// isvTCB is one state of an enclave or a module.
type isvTCB struct {
	TCB struct {
		ISVSVN *uint16 `json:"isvsvn"`
	} `json:"tcb"`
	Verdict
}

// Verdict is what Intel says of a state.
type Verdict struct {
	Status     string   `json:"tcbStatus"`
	Advisories []string `json:"advisoryIDs"`
}

// qeIdentity is what the quoting enclave must be (PCS API v4, "Enclave Identity
// V2").
type qeIdentity struct {
	ID         string    `json:"id"`
	Version    int       `json:"version"`
	IssueDate  time.Time `json:"issueDate"`
	NextUpdate time.Time `json:"nextUpdate"`
	Number     uint64    `json:"tcbEvaluationDataNumber"`
	MiscSelect hexBytes  `json:"miscselect"`
	MiscMask   hexBytes  `json:"miscselectMask"`
	Attributes hexBytes  `json:"attributes"`
	Mask       hexBytes  `json:"attributesMask"`
	MRSigner   hexBytes  `json:"mrsigner"`
	ISVProdID  *uint16   `json:"isvprodid"`
	Levels     []isvTCB  `json:"tcbLevels"`
}

// hexBytes is bytes in hex.
type hexBytes []byte

// UnmarshalText reads hex.
func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// what names a kind of collateral.
type what struct {
	member, id string
	version    int
}

// document opens one envelope and reads it into v, whose head is then held
// against what it must be. Errors wrap ErrCollateral.
func document[T any](w what, raw []byte, key *ecdsa.PublicKey, now time.Time, v *T, head func(*T) (id string, version int, issued, next time.Time)) error {
	member, err := open(w.member, raw, key)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(member, v); err != nil {
		return fmt.Errorf("%w: %s: %s", ErrCollateral, w.member, safe(err))
	}
	id, version, issued, next := head(v)
	switch {
	case id != w.id:
		return fmt.Errorf("%w: %s is of %q, want %q", ErrCollateral, w.member, safe(fmt.Errorf("%.16s", id)), w.id)
	case version != w.version:
		return fmt.Errorf("%w: %s has version %d, want %d", ErrCollateral, w.member, version, w.version)
	case now.Before(issued):
		return fmt.Errorf("%w: %s begins %s", ErrCollateral, w.member, issued.UTC().Format(time.RFC3339))
	case !now.Before(next):
		return fmt.Errorf("%w: %s ended %s; get a newer one", ErrCollateral, w.member, next.UTC().Format(time.RFC3339))
	}
	return nil
}

func (i *tcbInfo) head() (string, int, time.Time, time.Time) {
	return i.ID, i.Version, i.IssueDate, i.NextUpdate
}

func (q *qeIdentity) head() (string, int, time.Time, time.Time) {
	return q.ID, q.Version, q.IssueDate, q.NextUpdate
}
