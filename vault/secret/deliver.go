package secret

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Environ is the environment of one child process: parent without the names
// that bind sets, then those with their values. A binding is a name of a
// variable and a Ref, as "AWS_SECRET=cipherdeck://build/secret_access_key". The
// process itself keeps its own environment, so nothing else inherits a value.
//
// Errors wrap ErrRef, ErrNotFound, ErrField or ErrInvalid: a name that is not
// [A-Za-z_][A-Za-z0-9_]*, one given twice, a value with a zero byte.
func (set Set) Environ(parent, bind []string, now time.Time) ([]string, error) {
	given := map[string]bool{}
	var env []string
	for _, b := range bind {
		name, ref, ok := strings.Cut(b, "=")
		if !ok || !variable(name) || given[name] {
			return nil, fmt.Errorf("%w: %q is not NAME=cipherdeck://secret/field, or is there twice", ErrInvalid, name)
		}
		given[name] = true
		value, err := set.Resolve(ref, now)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", name, err)
		}
		if slices.Contains(value, 0) {
			return nil, fmt.Errorf("variable %s: %w: its value has a zero byte", name, ErrInvalid)
		}
		env = append(env, name+"="+string(value))
	}
	var out []string
	for _, p := range parent {
		name, _, _ := strings.Cut(p, "=")
		if !given[name] {
			out = append(out, p)
		}
	}
	return append(out, env...), nil
}

// BindAll is the bindings that suit a kind, for Environ: those of the AWS tools,
// or none if the kind has no customary names.
func (set Set) BindAll(name string) ([]string, error) {
	s, err := set.Get(name)
	if err != nil {
		return nil, err
	}
	if s.Kind != AWS {
		return nil, fmt.Errorf("%w: kind %s has no customary variables; give NAME=cipherdeck://%s/field", ErrKind, s.Kind, name)
	}
	var bind []string
	for _, v := range [][2]string{
		{"AWS_ACCESS_KEY_ID", "access_key_id"}, {"AWS_SECRET_ACCESS_KEY", "secret_access_key"},
		{"AWS_SESSION_TOKEN", "session_token"}, {"AWS_REGION", "region"},
	} {
		if len(s.Fields[v[1]]) > 0 {
			bind = append(bind, v[0]+"="+Ref{name, v[1]}.String())
		}
	}
	return bind, nil
}

func variable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// CredentialProcess is the JSON that the AWS tools read from the command that
// credential_process names in ~/.aws/config (AWS SDKs and Tools Reference,
// "Process credential provider"), with a line feed. Errors wrap ErrNotFound,
// ErrKind or ErrInvalid: expired at the time now.
func (set Set) CredentialProcess(name string, now time.Time) ([]byte, error) {
	s, err := set.Get(name)
	if err != nil {
		return nil, err
	}
	if s.Kind != AWS {
		return nil, fmt.Errorf("%w: %q is %s, want %s", ErrKind, name, s.Kind, AWS)
	}
	out := struct {
		Version         int
		AccessKeyId     string
		SecretAccessKey string
		SessionToken    string `json:",omitempty"`
		Expiration      string `json:",omitempty"`
	}{1, string(s.Fields["access_key_id"]), string(s.Fields["secret_access_key"]),
		string(s.Fields["session_token"]), string(s.Fields["expiration"])}
	if out.Expiration != "" {
		end, err := time.Parse(time.RFC3339, out.Expiration)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: field expiration is not a time of RFC 3339", ErrInvalid, name)
		}
		if !now.Before(end) {
			return nil, fmt.Errorf("%w: %q expired at %s", ErrInvalid, name, out.Expiration)
		}
	}
	b, err := json.Marshal(out)
	return append(b, '\n'), err
}
