package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"cipherdeck/attest/device"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/store/jetstream"
	"cipherdeck/remote/store/rooms"
)

// ErrConfig is wrapped when a configuration is not valid.
var ErrConfig = errors.New("configuration is not valid")

// Who may enrol.
const (
	EnrolOpen   = "open"
	EnrolClosed = "closed"
)

// Config is how a server runs. What a client should know of is measured: see
// Digest. Where it runs is not.
type Config struct {
	Listen  string `json:"listen" cbor:"-"`   // host:port
	DataDir string `json:"data_dir" cbor:"-"` // where everything is kept, with a cluster all but documents and jobs

	// A cluster of NATS servers for documents and jobs; without one, they are in data_dir.
	NATSServers     []string `json:"nats_servers" cbor:"-"`            // nats:// or tls:// URLs
	NATSCredentials string   `json:"nats_credentials" cbor:"-"`        // file
	NATSSystem      string   `json:"nats_system_credentials" cbor:"-"` // file; of the system account
	NATSCA          string   `json:"nats_ca" cbor:"-"`                 // PEM file
	NATSReplicas    int      `json:"nats_replicas" cbor:"-"`           // 1, 3 or 5
	UnsafeNATSSync  bool     `json:"unsafe_nats_sync" cbor:"11,keyasint,omitempty"`

	Blobs       rooms.Place  `json:"blobs" cbor:"-"`        // where ciphertext is kept
	Mirror      *rooms.Place `json:"mirror" cbor:"-"`       // where a second copy of it is; null: there is none
	TPM         string       `json:"tpm" cbor:"-"`          // "soft", "swtpm" or a path such as /dev/tpmrm0; what it is worth is for its maker's certificate to say
	FirmwareLog string       `json:"firmware_log" cbor:"-"` // file with the firmware's event log; "": the kernel's, with a TPM of the machine

	SFTP       string `json:"sftp" cbor:"-"`        // host:port of a door for SFTP clients; "": there is none
	GraceHours int    `json:"grace_hours" cbor:"-"` // that a blob must have been unneeded for before it is deleted

	Product            string `json:"product" cbor:"1,keyasint"`
	Enrolment          string `json:"enrolment" cbor:"2,keyasint"` // "open": who comes may make himself known
	TokenTTLSeconds    int    `json:"token_ttl_seconds" cbor:"3,keyasint"`
	LeaseSeconds       int    `json:"lease_seconds" cbor:"4,keyasint"`
	MaxAttempts        int    `json:"max_attempts" cbor:"5,keyasint"` // leases of one job that may end badly
	MaxBlobBytes       int64  `json:"max_blob_bytes" cbor:"6,keyasint"`
	MaxConnections     int    `json:"max_connections" cbor:"7,keyasint"`
	RatePerSecond      int    `json:"rate_per_second" cbor:"8,keyasint"` // requests of one account, or of one address before login
	RateBurst          int    `json:"rate_burst" cbor:"9,keyasint"`
	HeaderLimitSeconds int    `json:"header_limit_seconds" cbor:"10,keyasint"` // for a request's header to arrive

	// Whom the journal asks to cosign. It is not measured: which witnesses count
	// is for each client to say.
	Witnesses   []Witness `json:"witnesses" cbor:"-"`
	WitnessNeed int       `json:"witness_need" cbor:"-"` // how many of them a checkpoint waits for, two seconds at most; 0: all
}

// Witness is a witness of the journal, and where it is asked.
type Witness struct {
	Key string `json:"key"` // as cipherdeck witness prints it
	URL string `json:"url"` // "": it comes by itself, as a node --witness and a client do
}

// DefaultConfig is what a field has when the file does not name it.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:7443", DataDir: "cipherdeck-data", Blobs: rooms.Place{Kind: rooms.File}, GraceHours: 30 * 24,
		Product: "cipherdeck", Enrolment: EnrolOpen,
		TokenTTLSeconds: 900, LeaseSeconds: 60, MaxAttempts: 3, MaxBlobBytes: 16 << 20,
		NATSReplicas: 3, MaxConnections: 1024, RatePerSecond: 500, RateBurst: 1000, HeaderLimitSeconds: 5,
	}
}

// LoadConfig reads a configuration file.
func LoadConfig(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return ParseConfig(path, raw)
}

// ParseConfig reads the JSON of a configuration; name is the file's, for
// errors. Unknown and repeated fields are errors: a misspelt limit would
// otherwise be no limit.
func ParseConfig(name string, raw []byte) (Config, error) {
	c := DefaultConfig()
	if err := checkOnce(raw); err != nil {
		return Config{}, fmt.Errorf("%s: %w: %w", name, ErrConfig, err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s: %w: %w", name, ErrConfig, plain(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%s: %w: something follows the object", name, ErrConfig)
	}
	if err := c.Check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// Check holds every field against its bounds and names the first that is out.
func (c Config) Check() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("%w: listen: %q is not host:port", ErrConfig, c.Listen)
	}
	if c.DataDir == "" || c.Product == "" {
		return fmt.Errorf("%w: data_dir and product must not be empty", ErrConfig)
	}
	if c.Enrolment != EnrolOpen && c.Enrolment != EnrolClosed {
		return fmt.Errorf("%w: enrolment: %q, want %q or %q", ErrConfig, c.Enrolment, EnrolOpen, EnrolClosed)
	}
	for _, f := range []struct {
		name        string
		v, min, max int64
	}{
		{"token_ttl_seconds", int64(c.TokenTTLSeconds), 1, 86400},
		{"lease_seconds", int64(c.LeaseSeconds), 1, 3600},
		{"max_attempts", int64(c.MaxAttempts), 1, 100},
		{"max_blob_bytes", c.MaxBlobBytes, 64 << 10, 16 << 20},
		{"max_connections", int64(c.MaxConnections), 1, 1 << 16},
		{"rate_per_second", int64(c.RatePerSecond), 1, 1 << 20},
		{"rate_burst", int64(c.RateBurst), 1, 1 << 20},
		{"header_limit_seconds", int64(c.HeaderLimitSeconds), 1, 60},
		{"grace_hours", int64(c.GraceHours), 1, 10 * 366 * 24},
	} {
		if f.v < f.min || f.v > f.max {
			return fmt.Errorf("%w: %s: %d, want %d to %d", ErrConfig, f.name, f.v, f.min, f.max)
		}
	}
	if c.TPM != "" {
		if err := device.Check(c.TPM); err != nil {
			return fmt.Errorf("%w: tpm: %w", ErrConfig, err)
		}
	}
	if err := c.checkPlaces(); err != nil {
		return err
	}
	if x := c.External(); x != nil {
		if err := x.Check(); err != nil {
			return fmt.Errorf("%w: nats_servers, nats_replicas: %w", ErrConfig, err)
		}
	}
	return c.checkWitnesses()
}

func (c Config) checkWitnesses() error {
	asked := 0
	for _, w := range c.Witnesses {
		k, err := tlog.ParseKey(w.Key)
		if err != nil || k.Kind != tlog.Witness {
			return fmt.Errorf("%w: witnesses: %q is not the key of a witness", ErrConfig, w.Key)
		}
		if w.URL == "" {
			continue
		}
		asked++
		if u, err := url.Parse(w.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%w: witnesses: %q is not an http or https address", ErrConfig, w.URL)
		}
	}
	if c.WitnessNeed < 0 || c.WitnessNeed > asked {
		return fmt.Errorf("%w: witness_need: %d, want 0 to %d, the witnesses with a url", ErrConfig, c.WitnessNeed, asked)
	}
	return nil
}

// External is the cluster that keeps the documents and jobs; nil for none.
func (c Config) External() *jetstream.External {
	if len(c.NATSServers) == 0 {
		return nil
	}
	return &jetstream.External{Servers: c.NATSServers, Credentials: c.NATSCredentials, System: c.NATSSystem, CA: c.NATSCA,
		Replicas: c.NATSReplicas, Unsynced: c.UnsafeNATSSync}
}

// Digest is what is measured of the configuration: the SHA-256 of its
// deterministic CBOR, without listen, data_dir and the cluster; that its
// servers may lose what they acknowledged is measured.
func (c Config) Digest() ([32]byte, error) {
	b, err := doc.Encode(c)
	return sha256.Sum256(b), err
}

func (c Config) lease() time.Duration { return time.Duration(c.LeaseSeconds) * time.Second }

// checkOnce refuses a field that is there twice; the decoder would take the
// last of them.
func checkOnce(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	seen := map[string]bool{}
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("want one JSON object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return plain(err)
		}
		name, _ := t.(string)
		if low := strings.ToLower(name); low != name {
			return fmt.Errorf("unknown field %q: fields are in lower case", name)
		}
		if seen[name] {
			return fmt.Errorf("field %q is there twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return plain(err)
		}
	}
	return nil
}

// plain drops the decoder's prefix and names the field.
func plain(err error) error {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return fmt.Errorf("%s: got a %s, want %s", typ.Field, typ.Value, typ.Type)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}
