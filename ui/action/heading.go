package action

import (
	"slices"
	"strings"
)

// Parts lists the parts of help, in order, each with the first words of the
// commands under it.
func Parts() []Part {
	return []Part{
		{"Vault and identity", []string{"vault", "account", "device", "words", "agent"}},
		{"Secrets", []string{"secret", "coretex"}},
		{"Sealed files", []string{"seal", "open", "inspect", "verify", "ls", "recipients", "reseal", "age"}},
		{"Tables", []string{"data"}},
		{"Projects and people", []string{"project", "bundle", "people", "share", "revoke", "delegate", "undelegate", "grant", "ungrant", "blobs"}},
		{"Servers and nodes", []string{"server", "attest", "manifest", "serve", "node", "store"}},
		{"Scripts", []string{"key", "fetch"}},
		{"Running a server", []string{"backup", "restore", "migrate", "rebuild"}},
		{"A server's journal", []string{"journal", "witness"}},
		{"Blind runs", []string{"plan", "run", "demo"}},
		{"This program", []string{"doctor", "version"}},
	}
}

// Part is a part of help.
type Part struct {
	Heading string
	words   []string
}

// Of are the actions of list that stand in p, in the order of list.
func (p Part) Of(list []*Action) []*Action {
	var out []*Action
	for _, a := range list {
		if word, _, _ := strings.Cut(a.ID, "."); slices.Contains(p.words, word) {
			out = append(out, a)
		}
	}
	return out
}
