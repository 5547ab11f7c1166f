package server

import "cipherdeck/remote/store"

// Patterns lists the routes of the table, for the test that covers them all.
func Patterns() []string {
	var all []string
	for _, r := range routes(DefaultConfig()) {
		all = append(all, r.method+" "+r.pattern)
	}
	return all
}

// Docs is the store of a server, for tests that damage it.
func Docs(s *Server) store.Docs { return s.engine.Docs() }
