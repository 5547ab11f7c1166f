package agefile

import (
	"archive/tar"
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"cipherdeck/crypto/vectors"
)

// kitFile is one file of the CCTV age test kit: fields, then an age file.
type kitFile struct {
	name, expect, payload string
	armored               bool
	identities, secrets   []string
	file                  []byte
}

// The C2SP/CCTV test kit, on the way that an import takes.
func TestCCTVTestkit(t *testing.T) {
	kit := testkit(t)
	if len(kit) < 140 {
		t.Errorf("%d files, want at least 140", len(kit))
	}
	for _, k := range kit {
		var ids []Identity
		for _, s := range k.identities {
			i, err := ReadIdentities(strings.NewReader(s), nil)
			if err != nil {
				t.Fatal(k.name, err)
			}
			ids = append(ids, i...)
		}
		for _, s := range k.secrets {
			i, err := PassphraseIdentity(s)
			if err != nil {
				t.Fatal(k.name, err)
			}
			ids = append(ids, i)
		}
		got, err := decrypt(k.file, ids)
		var want error
		switch k.expect {
		case "success":
		case "no match":
			want = ErrIdentity
		default:
			want = ErrFile
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %s", k.name, err, k.expect)
		}
		if sum := sha256.Sum256(got); k.payload != "" && hex.EncodeToString(sum[:]) != k.payload {
			t.Errorf("%s: %d bytes that are not the payload", k.name, len(got))
		}
	}
}

func decrypt(file []byte, ids []Identity) ([]byte, error) {
	r, err := Decrypt(bytes.NewReader(file), ids...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// testkit reads the archive of vectors.
func testkit(t *testing.T) []kitFile {
	t.Helper()
	var kit []kitFile
	for r := tar.NewReader(bytes.NewReader(vectors.File(t, "c2sp/age-testkit.tar.gz"))); ; {
		h, err := r.Next()
		if err == io.EOF {
			return kit
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if k, ok := parseKit(t, h.Name, b); ok {
			kit = append(kit, k)
		}
	}
}

func parseKit(t *testing.T, name string, b []byte) (kitFile, bool) {
	t.Helper()
	k := kitFile{name: name}
	for {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		key, value, field := strings.Cut(string(line), ": ")
		if !ok || len(line) > 0 && !field {
			return k, false // a directory or a note
		}
		if b = rest; len(line) == 0 {
			break
		}
		switch key {
		case "expect":
			k.expect = value
		case "payload":
			k.payload = value
		case "identity":
			k.identities = append(k.identities, value)
		case "passphrase":
			k.secrets = append(k.secrets, value)
		case "compressed":
			z, err := zlib.NewReader(bytes.NewReader(b[bytes.Index(b, []byte("\n\n"))+2:]))
			if err != nil {
				t.Fatal(name, err)
			}
			whole, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(name, err)
			}
			b = append(b[:bytes.Index(b, []byte("\n\n"))+2:bytes.Index(b, []byte("\n\n"))+2], whole...)
		}
	}
	k.file = b
	return k, k.expect != ""
}
