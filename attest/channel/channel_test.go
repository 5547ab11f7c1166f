package channel

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/device"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/softtpm"
	"cipherdeck/attest/tpm2"
)

const product = "cipherdeck test"

// server is a whole attesting server on loopback.
type server struct {
	cert    tls.Certificate
	key     *ecdsa.PrivateKey
	spki    [32]byte
	machine Machine
	policy  attest.Policy
	signer  ed25519.PrivateKey
	golden  attest.Manifest
	addr    string
	served  chan string // body of every request but the attestation
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newServer(t testing.TB) *server {
	t.Helper()
	return newServerOn(t, newDevice(t, softtpm.Config{Seed: [32]byte{1}, ResetCount: 3}))
}

// newDevice is a software TPM that was just started, with a certificate.
func newDevice(t testing.TB, c softtpm.Config) *device.Device {
	t.Helper()
	tpm, err := softtpm.StartSeeded(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := device.NewSoft(tpm)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// newMachine has the keys of dev and has measured nothing yet.
func newMachine(t testing.TB, dev *device.Device) Machine {
	t.Helper()
	ek, err := tpm2.NewEK(dev.TPM, nil)
	if err != nil {
		t.Fatal(err)
	}
	ak, err := tpm2.NewAK(dev.TPM)
	if err != nil {
		t.Fatal(err)
	}
	return Machine{TPM: dev.TPM, AK: ak, EK: ek, EKChain: dev.Chain}
}

// newServerOn is a server with the TPM dev, whose chain may be empty.
func newServerOn(t testing.TB, dev *device.Device) *server {
	t.Helper()
	s := &server{key: newKey(t), served: make(chan string, 16), machine: newMachine(t, dev)}
	var err error
	if s.cert, err = NewCertificate(s.key, "deck.test"); err != nil {
		t.Fatal(err)
	}
	s.spki = SPKI(s.cert.Leaf)
	s.machine.SPKI, s.machine.JobKey = s.spki, []byte("job public key")
	b, err := eventlog.NewBuilder(s.machine.TPM)
	if err != nil {
		t.Fatal(err)
	}
	binary, job := sha256.Sum256([]byte("binary")), sha256.Sum256(s.machine.JobKey)
	for _, e := range []eventlog.Event{
		{Name: "binary", Digest: binary, Text: "v1"},
		{Name: "tls-key", Digest: s.spki},
		{Name: "job-key", Digest: job},
	} {
		if err := b.Add(e.Name, e.Digest, e.Text); err != nil {
			t.Fatal(err)
		}
	}
	if s.machine.Log, err = b.Close(); err != nil {
		t.Fatal(err)
	}
	s.golden = attest.Manifest{
		V: 2, Product: product, Version: 7, NotBefore: 0, NotAfter: 1 << 40,
		Baselines: []attest.Baseline{{Name: "test", Events: []attest.Golden{
			{Name: "binary", Any: [][32]byte{binary}},
			{Name: "tls-key", Bound: true},
			{Name: "job-key", Bound: true},
			{Name: eventlog.Ready, Any: [][32]byte{eventlog.ReadyDigest()}},
		}}},
	}
	pub, signer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.signer = signer
	if s.machine.Manifest, err = manifest.Sign(s.golden, signer); err != nil {
		t.Fatal(err)
	}
	s.policy = attest.Policy{Product: product, Signers: [][]byte{pub}, Threshold: 1, MinVersion: 7, Enrol: true}
	return s
}

// listen serves the machine and an echo of payload with cert.
func (s *server) listen(t testing.TB, cert tls.Certificate, answer http.Handler) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(Path, answer)
	mux.Handle(EnrolPath, answer)
	mux.HandleFunc("/payload", func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		s.served <- string(b)
		_, _ = w.Write(b)
	})
	l, err := tls.Listen("tcp", "127.0.0.1:0", ServerTLS(cert))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return l.Addr().String()
}

func (s *server) start(t testing.TB) *server {
	t.Helper()
	s.addr = s.listen(t, s.cert, NewResponder(s.machine))
	return s
}

func dial(t testing.TB, addr string, pin [32]byte) *tls.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return tls.Client(raw, ClientTLS(pin))
}

func TestAttestThenPayload(t *testing.T) {
	s := newServer(t).start(t)
	c := Wrap(dial(t, s.addr, s.spki), "deck")
	if _, err := c.Write([]byte("early")); !errors.Is(err, attest.ErrNotAttested) {
		t.Fatalf("write before the verdict: %v", err)
	}
	v, err := c.Attest(t.Context(), s.policy)
	if err != nil {
		t.Fatal(err)
	}
	if v.Word() != "demo" || v.Root != attest.RootSoftware || v.Subject != "deck" || v.Version != 7 || len(v.Signers) != 1 {
		t.Fatalf("verdict %q %+v", v.Word(), v)
	}
	if c.Payload() != 0 {
		t.Fatalf("%d payload bytes before any", c.Payload())
	}
	client := &http.Client{Transport: &http.Transport{
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}}
	rsp, err := client.Post("https://deck/payload", "text/plain", io.LimitReader(zeros{}, 1000))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(rsp.Body)
	if len(got) != 1000 || c.Payload() < 1000 {
		t.Fatalf("echo of %d bytes, %d counted", len(got), c.Payload())
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// record attests and returns the facts of the connection, for offline checks.
type record struct {
	cs                  tls.ConnectionState
	challenge, evidence []byte
	enrolled            *attest.Enrolment
}

func (s *server) record(t testing.TB) record {
	t.Helper()
	c := Wrap(dial(t, s.addr, s.spki), "deck")
	if err := c.tls.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, challenge, err := Ask(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	evidence, err := c.exchange(challenge)
	if err != nil {
		t.Fatal(err)
	}
	script, err := transcribe(c.ConnectionState(), challenge, evidence, "deck", judgedAt())
	if err != nil {
		t.Fatal(err)
	}
	ch, e, err := script.Parts()
	if err != nil {
		t.Fatal(err)
	}
	if err := script.enrol(e, ch, judgedAt(), func(body []byte) ([]byte, error) {
		return c.post(EnrolPath, body, sha256.Size)
	}); err != nil || script.Enrolled == nil {
		t.Fatalf("enrol: %v", err)
	}
	return record{c.ConnectionState(), challenge, evidence, script.Enrolled}
}

func (s *server) judge(t testing.TB, r record) (*attest.Verdict, error) {
	t.Helper()
	p := s.policy
	p.Enrolled = r.enrolled
	return Judge(t.Context(), r.cs, r.challenge, r.evidence, p, "deck", judgedAt())
}

// judgedAt is after the software TPM's certificate was made, which is now.
func judgedAt() time.Time { return time.Now() }

// Every bit that a server sends is covered by some link.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	s := newServer(t).start(t)
	r := s.record(t)
	if v, err := s.judge(t, r); err != nil || !v.OK() {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() {
		step = 17
	}
	good := r.evidence
	for i := 0; i < len(good)*8; i += step {
		r.evidence = append([]byte(nil), good...)
		r.evidence[i/8] ^= 1 << (i % 8)
		v, err := s.judge(t, r)
		if !errors.Is(err, attest.ErrRefused) || (v != nil && v.OK()) {
			t.Fatalf("bit %d of byte %d flipped and not refused: %v", i%8, i/8, err)
		}
	}
	t.Logf("%d bytes of evidence", len(good))
}

// BenchmarkConnectToVerdict is TCP, TLS handshake, challenge, quote, verdict, on
// loopback, with a machine that was enrolled before.
func BenchmarkConnectToVerdict(b *testing.B) {
	b.Run(device.Soft, func(b *testing.B) { benchConnect(b, newServer(b)) })
	b.Run(device.Swtpm, func(b *testing.B) {
		for _, p := range []string{"swtpm", "swtpm_setup"} {
			if _, err := exec.LookPath(p); err != nil {
				b.Skipf("SKIPPED, NOT MEASURED: %s is not installed (packages swtpm, swtpm-tools)", p)
			}
		}
		d, err := device.Open(device.Swtpm, b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = d.Close() })
		d.Chain = nil // of a local authority, which nobody here pins
		benchConnect(b, newServerOn(b, d))
	})
}

func benchConnect(b *testing.B, s *server) {
	s.start(b)
	s.policy.Enrolled = s.record(b).enrolled
	took := make([]time.Duration, 0, 1<<16)
	for b.Loop() {
		start := time.Now()
		c := Wrap(dial(b, s.addr, s.spki), "deck")
		if v, err := c.Attest(b.Context(), s.policy); err != nil || !v.OK() {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		_ = c.Close()
	}
	slices.Sort(took)
	b.ReportMetric(float64(len(took)), "n")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}

// BenchmarkHandshake is the part of it that is TLS alone.
func BenchmarkHandshake(b *testing.B) {
	s := newServer(b).start(b)
	for b.Loop() {
		c := dial(b, s.addr, s.spki)
		if err := c.Handshake(); err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
	}
}
