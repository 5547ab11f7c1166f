package softtpm

// spec says how the frame of one command is laid out and what runs it.
type spec struct {
	handles int // in the handle area
	auths   int // how many of them need authorization
	admin   int // how many of these need the ADMIN role, from the first
	run     func(*TPM, *command, *reply) rc
}

// Command codes that are compared somewhere (Part 2, table 12).
const (
	ccActivate     = 0x147
	ccPolicySecret = 0x151
	ccPolicyCC     = 0x16C
	ccPolicyAuth   = 0x16A
	ccPolicyValue  = 0x16B
	ccPolicyOR     = 0x171
	ccPolicyPCR    = 0x17F
)

// table is the commands by their codes (Part 2, table 12).
func table() map[uint32]spec {
	return map[uint32]spec{
		0x144: {run: (*TPM).startup},
		0x145: {run: (*TPM).shutdown},
		0x143: {run: (*TPM).selfTest},
		0x17B: {run: (*TPM).getRandom},
		0x146: {run: (*TPM).stirRandom},
		0x17A: {run: (*TPM).getCapability},
		0x181: {run: (*TPM).readClock},

		0x131: {handles: 1, auths: 1, run: (*TPM).createPrimary},
		0x153: {handles: 1, auths: 1, run: (*TPM).create},
		0x157: {handles: 1, auths: 1, run: (*TPM).load},
		0x167: {run: (*TPM).loadExternal},
		0x173: {handles: 1, run: (*TPM).readPublic},
		0x165: {run: (*TPM).flushContext},
		0x120: {handles: 2, auths: 1, run: (*TPM).evictControl},
		0x162: {handles: 1, run: (*TPM).contextSave},
		0x161: {run: (*TPM).contextLoad},

		0x17E: {run: (*TPM).pcrRead},
		0x182: {handles: 1, auths: 1, run: (*TPM).pcrExtend},
		0x13C: {handles: 1, auths: 1, run: (*TPM).pcrEvent},
		0x13D: {handles: 1, auths: 1, run: (*TPM).pcrReset},
		0x158: {handles: 1, auths: 1, run: (*TPM).quote},
		0x148: {handles: 2, auths: 2, admin: 1, run: (*TPM).certify},
		0x14A: {handles: 2, auths: 1, run: (*TPM).certifyCreation},
		0x14C: {handles: 2, auths: 2, run: (*TPM).getTime},

		0x15D:      {handles: 1, auths: 1, run: (*TPM).signDigest},
		0x177:      {handles: 1, run: (*TPM).verifySignature},
		0x159:      {handles: 1, auths: 1, run: (*TPM).rsaDecrypt},
		0x15E:      {handles: 1, auths: 1, run: (*TPM).unseal},
		0x154:      {handles: 1, auths: 1, run: (*TPM).ecdhZGen},
		0x163:      {handles: 1, run: (*TPM).ecdhKeyGen},
		0x168:      {handles: 1, run: (*TPM).makeCredential},
		ccActivate: {handles: 2, auths: 2, admin: 1, run: (*TPM).activateCredential},

		0x176:          {handles: 2, run: (*TPM).startAuthSession},
		0x180:          {handles: 1, run: (*TPM).policyRestart},
		ccPolicyPCR:    {handles: 1, run: (*TPM).policyPCR},
		ccPolicyValue:  {handles: 1, run: (*TPM).policyAuthValue},
		0x18C:          {handles: 1, run: (*TPM).policyPassword},
		ccPolicySecret: {handles: 2, auths: 1, run: (*TPM).policySecret},
		ccPolicyCC:     {handles: 1, run: (*TPM).policyCommandCode},
		ccPolicyOR:     {handles: 1, run: (*TPM).policyOR},
		ccPolicyAuth:   {handles: 1, run: (*TPM).policyAuthorize},
		0x189:          {handles: 1, run: (*TPM).policyGetDigest},

		0x12A: {handles: 1, auths: 1, run: (*TPM).nvDefine},
		0x122: {handles: 2, auths: 1, run: (*TPM).nvUndefine},
		0x137: {handles: 2, auths: 1, run: (*TPM).nvWrite},
		0x14E: {handles: 2, auths: 1, run: (*TPM).nvRead},
		0x169: {handles: 1, run: (*TPM).nvReadPublic},

		0x126: {handles: 1, auths: 1, run: (*TPM).clear},
		0x129: {handles: 1, auths: 1, run: (*TPM).hierarchyChangeAuth},
		0x139: {handles: 1, auths: 1, run: (*TPM).lockReset},
		0x13A: {handles: 1, auths: 1, run: (*TPM).lockParameters},
	}
}
