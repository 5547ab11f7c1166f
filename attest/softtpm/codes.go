package softtpm

// rc is a TPM response code (Part 2, section 6.6). Which parameter or handle
// was at fault is added for sessions only, as clients look at no other.
type rc uint32

const (
	ok             rc = 0
	rcBadTag       rc = 0x01E
	rcInitialize   rc = 0x100
	rcFailure      rc = 0x101
	rcAuthMissing  rc = 0x125
	rcPCRChanged   rc = 0x128
	rcAuthUnavail  rc = 0x12F
	rcCommandSize  rc = 0x142
	rcCommandCode  rc = 0x143
	rcAuthSize     rc = 0x144
	rcNVRange      rc = 0x146
	rcNVAuth       rc = 0x149
	rcNVUnwritten  rc = 0x14A
	rcNVDefined    rc = 0x14C
	rcSensitive    rc = 0x155
	rcObjectMemory rc = 0x902
	rcSessionSlots rc = 0x903
	rcLocality     rc = 0x907
	rcReference    rc = 0x910 // handle names nothing that is loaded
	rcNoSession    rc = 0x918 // a session handle names nothing; + its number
	rcLockout      rc = 0x921
	rcNVSpace      rc = 0x14B

	rcAttributes   rc = 0x082
	rcHash         rc = 0x083
	rcValue        rc = 0x084
	rcHierarchy    rc = 0x085
	rcMode         rc = 0x089
	rcType         rc = 0x08A
	rcHandle       rc = 0x08B
	rcKDF          rc = 0x08C
	rcAuthFail     rc = 0x08E
	rcNonce        rc = 0x08F
	rcScheme       rc = 0x092
	rcSize         rc = 0x095
	rcSymmetric    rc = 0x096
	rcInsufficient rc = 0x09A
	rcSignature    rc = 0x09B
	rcKey          rc = 0x09C
	rcPolicyFail   rc = 0x09D
	rcIntegrity    rc = 0x09F
	rcTicket       rc = 0x0A0
	rcReserved     rc = 0x0A1
	rcBadAuth      rc = 0x0A2
	rcPolicyCC     rc = 0x0A4
	rcCurve        rc = 0x0A6
	rcECCPoint     rc = 0x0A7
)

// inSession adds to a code of format one which session was at fault.
func (c rc) inSession(i int) rc {
	if c&0x080 == 0 || c&0xF00 != 0 {
		return c
	}
	return c | 0x800 | rc(i+1)<<8
}
