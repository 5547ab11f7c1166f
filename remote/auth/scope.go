package auth

import (
	"fmt"
	"slices"
	"strings"

	"cipherdeck/crypto/id"
)

// What an API key can be allowed to do. Nothing here is more than its owner may
// do: the role in the project is asked besides, each time.
const (
	ScopeProjects = "projects:list" // of all projects only
	ScopeHead     = "head:read"
	ScopeBlobRead = "blobs:read"
	ScopeBlobPut  = "blobs:write" // ciphertext under its hash; no link names it yet
	ScopeJobRead  = "jobs:read"
	ScopeJobPut   = "jobs:submit" // a document that a device has signed
)

// Scopes lists the operations that a scope can name.
func Scopes() []string {
	return []string{ScopeProjects, ScopeHead, ScopeBlobRead, ScopeBlobPut, ScopeJobRead, ScopeJobPut}
}

// AnyProject stands for all projects of the owner, also those to come.
const AnyProject = "*"

// Scope is one thing that a key may do, in one project or in all.
type Scope struct {
	Op      string `cbor:"1,keyasint" json:"op"`
	Project string `cbor:"2,keyasint" json:"project"` // an id, or AnyProject
}

// ParseScope reads OP@PROJECT; OP alone is for all projects.
func ParseScope(s string) (Scope, error) {
	op, project, found := strings.Cut(s, "@")
	if !found {
		project = AnyProject
	}
	c := Scope{op, project}
	return c, c.check()
}

// String is what ParseScope reads.
func (c Scope) String() string { return c.Op + "@" + c.Project }

func (c Scope) check() error {
	if !slices.Contains(Scopes(), c.Op) {
		return fmt.Errorf("%w: scope %q: want one of %s", ErrKey, c.Op, strings.Join(Scopes(), ", "))
	}
	if c.Project == AnyProject {
		return nil
	}
	if c.Op == ScopeProjects {
		return fmt.Errorf("%w: scope %s is for all projects or none", ErrKey, c.Op)
	}
	if _, err := id.Parse(c.Project); err != nil {
		return fmt.Errorf("%w: scope %s: %q is no project id", ErrKey, c.Op, c.Project)
	}
	return nil
}

// allows reports whether c covers op in a project.
func (c Scope) allows(op string, project id.ID) bool {
	return c.Op == op && (c.Project == AnyProject || c.Project == project.String())
}
