// Package ui is the faces of cipherdeck: what a person sees and types.
//
//	app      use-cases; the only place where the rooms below are put together
//	action   the registry: one record for each thing a user can do
//	cli      the command line, made from the registry
//	screen   the workstation, one file a screen, made from the registry
//	plain    makes strings from outside safe to show
//	quiet    stops the terminal library from asking the terminal questions
//
// The rooms below (crypto, attest, fhe, vault, remote) know nothing of it. A
// test in this package walks the imports of the whole module and fails when an
// arrow points up.
package ui
