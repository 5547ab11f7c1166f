package softtpm

// rc is a TPM response code (Part 2, section 6.6). Which parameter or handle
// was at fault is not added.
type rc uint32

const (
	ok             rc = 0
	rcBadTag       rc = 0x01E
	rcInitialize   rc = 0x100
	rcAuthMissing  rc = 0x125
	rcAuthUnavail  rc = 0x12F
	rcCommandSize  rc = 0x142
	rcCommandCode  rc = 0x143
	rcAuthSize     rc = 0x144
	rcAuthContext  rc = 0x145
	rcFailure      rc = 0x101
	rcObjectMemory rc = 0x902
	rcLocality     rc = 0x907
	rcReference    rc = 0x910 // handle names nothing that is loaded

	rcAttributes   rc = 0x082
	rcHash         rc = 0x083
	rcValue        rc = 0x084
	rcHierarchy    rc = 0x085
	rcType         rc = 0x08A
	rcHandle       rc = 0x08B
	rcKDF          rc = 0x08C
	rcScheme       rc = 0x092
	rcSize         rc = 0x095
	rcSymmetric    rc = 0x096
	rcInsufficient rc = 0x09A
	rcKey          rc = 0x09C
	rcIntegrity    rc = 0x09F
	rcReserved     rc = 0x0A1
	rcBadAuth      rc = 0x0A2
	rcCurve        rc = 0x0A6
)
