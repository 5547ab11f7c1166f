package seal

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const pythonReader = "../../docs/formats/read_container.py"

// python gives the program that has the library, or skips.
func python(t *testing.T) string {
	t.Helper()
	const system = "/usr/bin/python3" // Debian's: another one in PATH may lack the library
	if err := exec.Command(system, "-c", "import cryptography").Run(); err != nil {
		t.Skipf("SKIPPED: %s with the module cryptography is missing (Debian package python3-cryptography); "+
			"that the format can be read by %s is NOT tested", system, pythonReader)
	}
	return system
}

// The documents are enough to read a container: a reader in another language,
// by another library, gets the content of the vectors, and nothing of damaged
// ones.
func TestReaderInPython(t *testing.T) {
	py := python(t)
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectorSet
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	pair, _, _ := v.identities(t)
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(pair.RSA)
	if err != nil {
		t.Fatal(err)
	}
	key := writeFile(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	byEpoch := []string{"epoch", hex.EncodeToString(v.Project), hex.EncodeToString(v.EpochKey)}
	run := func(container []byte, how ...string) ([]byte, error) {
		box := writeFile(t, filepath.Join(dir, "box"), container)
		return exec.Command(py, append([]string{"-O", pythonReader, box}, how...)...).Output()
	}
	read := 0
	for _, c := range v.Containers {
		for _, how := range [][]string{byEpoch, {"rsa", key}} {
			kind, rest, _ := strings.Cut(c.To, ",")
			if kind != "many" && kind != map[string]string{"epoch": "epoch", "rsa": "RSA"}[how[0]] || strings.Contains(rest, "CBC") {
				continue
			}
			read++
			want, _ := c.content()
			if got, err := run(c.Container, how...); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s by %s: %q, %v", c.To, how[0], got, err)
			}
			if c.To != "epoch" {
				continue // a process for each of them takes its time
			}
			// The zeros before the MAC are covered by it alone, a byte of the
			// commitment by that alone; -O must not switch either check off.
			for _, at := range []int{9, 40, headerUnit - 40, headerUnit - 1, headerUnit + 30, len(c.Container) - 1} {
				bad := bytes.Clone(c.Container)
				bad[at] ^= 1
				if got, err := run(bad, how...); err == nil || len(got) > 0 {
					t.Errorf("%s by %s, byte %d changed: %q", c.To, how[0], at, got)
				}
			}
		}
	}
	if read != 7 {
		t.Errorf("%d containers read, want 7", read)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 5000) // several chunks
	box := sealBytes(t, big, Meta{Size: int64(len(big))}, epoch(1))
	k := epoch(1)
	for name, bad := range map[string][]byte{
		"without the last chunk": box[:headerUnit+56+4*16400], "with a byte more": append(bytes.Clone(box), 0), "header alone": box[:headerUnit],
		"swapped": bytes.Join([][]byte{box[:headerUnit+56], box[headerUnit+56+16400 : headerUnit+56+2*16400], box[headerUnit+56 : headerUnit+56+16400], box[headerUnit+56+2*16400:]}, nil),
	} {
		if got, err := run(bad, "epoch", hex.EncodeToString(k.project[:]), hex.EncodeToString(k.key[:])); err == nil || len(got) > 0 {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if got, err := run(box, "epoch", hex.EncodeToString(k.project[:]), hex.EncodeToString(k.key[:])); err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes of %d, %v", len(got), len(big), err)
	}
}
