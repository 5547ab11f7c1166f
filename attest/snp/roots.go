package snp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/google/go-sev-guest/verify/trust"
)

// product is ARK and ASK of one line of processors.
type product = trust.AMDRootCerts

// pins are SHA-256 of the DER certificates of ARK and ASK, as AMD publishes
// them (https://kdsintf.amd.com/vcek/v1/LINE/cert_chain). The module carries the
// certificates; a module that carries others is refused.
func pins(line string) (ark, ask string) {
	switch line {
	case "Milan":
		return "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd", "67d303bd3905fd38db8b20e0793699870e7fa612eaad5dec358293fd8c0bac1b"
	case "Genoa":
		return "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1", "5464738c1546aed5f2cecf1dc98c5c960a92e8913238a61711bc90ec6e828521"
	case "Turin":
		return "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a", "5b77ef5fe7a7a004fd9032668fba9d0fda22f88c4442069a479636a6ae3b3185"
	}
	return "", ""
}

// pinned is the roots of a line of processors.
func pinned(line string) (*product, error) {
	ark, ask := pins(line)
	p, err := trust.GetDefaultRootCerts(line)
	if ark == "" || err != nil {
		return nil, fmt.Errorf("%w: no root is pinned for processors of line %q", ErrChain, line)
	}
	if digest(p.ProductCerts.Ark.Raw) != ark || digest(p.ProductCerts.Ask.Raw) != ask {
		return nil, fmt.Errorf("%w: the roots of line %q are not the pinned ones", ErrChain, line)
	}
	return p, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
