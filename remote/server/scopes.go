package server

import (
	"cipherdeck/crypto/id"
	"cipherdeck/remote/auth"
)

// scopeOf is what an API key must be allowed for a route; "" for a route that is
// for logins only. Whatever needs a signature, or makes rights, is not here.
func scopeOf(rt route) string {
	const p = "/v1/projects/{pid}"
	switch rt.method + " " + rt.pattern {
	case "GET /v1/projects":
		return auth.ScopeProjects
	case "GET " + p + "/head":
		return auth.ScopeHead
	case "POST " + p + "/blobs/have", "GET " + p + "/blobs/{id}":
		return auth.ScopeBlobRead
	case "PUT " + p + "/blobs/{id}":
		return auth.ScopeBlobPut
	case "POST " + p + "/jobs", "POST " + p + "/nodes/{uid}/ask": // a node is attested before each job
		return auth.ScopeJobPut
	case "GET " + p + "/jobs", "GET " + p + "/jobs/{id}":
		return auth.ScopeJobRead
	}
	return ""
}

// scoped reports whether the key of c may use a route. A route of no project needs
// a scope for all of them; so does one with an id that is none, which is refused
// later on.
func scoped(c *call, rt route) bool {
	op := scopeOf(rt)
	pid, _ := id.Parse(c.r.PathValue("pid"))
	return op != "" && c.key.Allows(op, pid)
}
