// Package rooms opens the blobs of a server where its configuration wants
// them. Every project has a room of its own: what is known of one opens nothing
// in another.
package rooms

import (
	"errors"
	"fmt"
	"net"
)

// ErrConfig is wrapped for a description of a place that is not one.
var ErrConfig = errors.New("place of blobs is not valid")

// The kinds of place.
const (
	File = "file"
	S3   = "s3"
	SFTP = "sftp"
	IPFS = "ipfs"
)

// Place says where blobs are kept. Keys and tokens are named by the file that
// holds them, so that a configuration can be shown.
type Place struct {
	Kind string `json:"kind"`

	Dir string `json:"dir,omitempty"` // file: default blobs in the data_dir; sftp: on the other machine

	Endpoint      string `json:"endpoint,omitempty"` // s3 and ipfs
	Bucket        string `json:"bucket,omitempty"`   // s3
	Prefix        string `json:"prefix,omitempty"`
	Region        string `json:"region,omitempty"`
	AccessKeyFile string `json:"access_key_file,omitempty"`
	SecretKeyFile string `json:"secret_key_file,omitempty"`
	Direct        bool   `json:"direct,omitempty"` // s3: clients come to the bucket themselves

	Addr    string `json:"addr,omitempty"` // sftp
	User    string `json:"user,omitempty"`
	KeyFile string `json:"key_file,omitempty"`
	HostKey string `json:"host_key,omitempty"`

	TokenFile string `json:"token_file,omitempty"` // ipfs, when its RPC wants one
}

// Check names the first field that is missing or does not belong.
func (p Place) Check() error {
	_, _, addr := net.SplitHostPort(p.Addr)
	for _, f := range []struct {
		name        string
		set, needed bool
		of          []string
	}{
		{"dir", p.Dir != "", p.Kind == SFTP, []string{File, SFTP}},
		{"endpoint", p.Endpoint != "", true, []string{S3, IPFS}},
		{"bucket", p.Bucket != "", true, []string{S3}},
		{"prefix", p.Prefix != "", false, []string{S3}},
		{"region", p.Region != "", false, []string{S3}},
		{"access_key_file", p.AccessKeyFile != "", true, []string{S3}},
		{"secret_key_file", p.SecretKeyFile != "", true, []string{S3}},
		{"direct", p.Direct, false, []string{S3}},
		{"addr", addr == nil, true, []string{SFTP}},
		{"user", p.User != "", true, []string{SFTP}},
		{"key_file", p.KeyFile != "", true, []string{SFTP}},
		{"host_key", p.HostKey != "", true, []string{SFTP}},
		{"token_file", p.TokenFile != "", false, []string{IPFS}},
	} {
		belongs := false
		for _, kind := range f.of {
			belongs = belongs || kind == p.Kind
		}
		switch {
		case f.set && !belongs:
			return fmt.Errorf("%w: %s: does not belong to kind %q", ErrConfig, f.name, p.Kind)
		case !f.set && belongs && f.needed:
			return fmt.Errorf("%w: %s: kind %q needs it", ErrConfig, f.name, p.Kind)
		}
	}
	switch p.Kind {
	case File, S3, SFTP, IPFS:
		return nil
	}
	return fmt.Errorf("%w: kind: %q, want file, s3, sftp or ipfs", ErrConfig, p.Kind)
}
