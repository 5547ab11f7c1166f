package ui_test

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// imports lists, for each package of the module, all packages it needs, its
// own test files apart.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, "cipherdeck/...")
	cmd.Dir = ".."
	out := listed(t, cmd)
	deps := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		deps[f[0]] = f[1:]
	}
	return deps
}

// listed is what go list prints. What it says beside that, such as which modules
// it downloads on a fresh machine, is not part of the list.
func listed(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, said.Bytes())
	}
	return out
}

func under(pkg string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(r string) bool {
		return pkg == r || strings.HasPrefix(pkg, r+"/")
	})
}

// TestArrowsPointDown holds the house to its plan: who may know whom.
func TestArrowsPointDown(t *testing.T) {
	rules := []struct {
		from, not []string
		why       string
	}{
		{[]string{"cipherdeck/remote"}, []string{"cipherdeck/vault", "cipherdeck/fhe/holder"}, "a server must not be able to hold a secret of a user"},
		{[]string{"cipherdeck/vault"}, []string{"cipherdeck/remote"}, "the vault declares what it needs of a server"},
		{[]string{"cipherdeck/crypto", "cipherdeck/attest", "cipherdeck/fhe"}, []string{"cipherdeck/remote", "cipherdeck/vault", "cipherdeck/ui"}, "lower rooms know nothing of upper ones"},
		{[]string{"cipherdeck/crypto"}, []string{"cipherdeck/attest", "cipherdeck/fhe"}, "crypto is the ground floor"},
		{[]string{"cipherdeck/remote", "cipherdeck/vault"}, []string{"cipherdeck/ui"}, "rooms know nothing of the faces"},
		{[]string{"cipherdeck/ui/app", "cipherdeck/ui/action", "cipherdeck/ui/cli", "cipherdeck/ui/plain"}, []string{"github.com/charmbracelet/bubbletea"}, "use-cases and the command line draw nothing"},
		{[]string{"cipherdeck/fhe/circuit"}, []string{"cipherdeck/fhe/holder"}, "an evaluator never sees a secret key"},
		{[]string{"cipherdeck"}, []string{"cipherdeck/crypto/vectors", "cipherdeck/remote/hostile", "cipherdeck/remote/store/faultfs", "cipherdeck/remote/store/faulttest", "cipherdeck/remote/store/s3/s3test",
			"cipherdeck/remote/store/sftp/sftptest", "cipherdeck/remote/store/ipfs/ipfstest", "cipherdeck/remote/store/storetest", "cipherdeck/remote/remotetest"}, "what only tests need belongs in no binary"},
		{[]string{"cipherdeck/attest"}, []string{"cipherdeck/fhe"}, "attestation is not about encryption of data"},
	}
	for pkg, deps := range imports(t) {
		for _, r := range rules {
			if !under(pkg, r.from...) {
				continue
			}
			for _, d := range deps {
				if under(d, r.not...) {
					t.Errorf("%s needs %s: %s", pkg, d, r.why)
				}
			}
		}
	}
}

// TestLibrariesStayInTheirRoom keeps every big library behind one folder.
func TestLibrariesStayInTheirRoom(t *testing.T) {
	rooms := map[string][]string{
		"github.com/tuneinsight/lattigo/v5": {"cipherdeck/fhe/circuit", "cipherdeck/fhe/holder", "cipherdeck/fhe/codec", "cipherdeck/fhe/kernel", "cipherdeck/fhe/plan"},
		"github.com/nats-io":                {"cipherdeck/remote/store/jetstream"},
		"github.com/charmbracelet":          {"cipherdeck/ui"},
		"github.com/pkg/sftp":               {"cipherdeck/remote/store/sftp", "cipherdeck/remote/sftpd"},
		"github.com/google/go-tpm":          {"cipherdeck/attest/tpm2", "cipherdeck/attest/softtpm", "cipherdeck/attest/device", "cipherdeck/attest/channel", "cipherdeck/attest/eventlog", "cipherdeck/attest/self", "cipherdeck/attest/host", "cipherdeck/attest/grant", "cipherdeck/remote/server", "cipherdeck/vault/tpm"},
		"github.com/google/go-sev-guest":    {"cipherdeck/attest/snp"},
		"github.com/zalando/go-keyring":     {"cipherdeck/vault"},
		"github.com/miekg/pkcs11":           {"cipherdeck/vault/pkcs11/cipherdeck-pkcs11"},
		"filippo.io/keygen":                 {"cipherdeck/crypto/keys"},
		"google.golang.org/protobuf":        {"cipherdeck/fhe/onnx"},
		"github.com/rogpeppe/go-internal":   {},
		"github.com/hanwen/go-fuse/v2":      {"cipherdeck/remote/store/faultfs"},
		"github.com/fxamacker/cbor/v2":      {"cipherdeck/crypto/doc"},
		"github.com/transparency-dev":       {"cipherdeck/remote/journal"},
		"golang.org/x/mod":                  {"cipherdeck/crypto/tlog", "cipherdeck/remote/journal"},
	}
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "cipherdeck/...")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // to see what only the PKCS#11 helper imports; nothing is compiled
	out := listed(t, cmd)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		for _, imp := range f[1:] {
			for lib, allowed := range rooms {
				if under(imp, lib) && !under(f[0], allowed...) {
					t.Errorf("%s imports %s, which belongs to %v", f[0], imp, allowed)
				}
			}
		}
	}
}
