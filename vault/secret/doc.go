// Package secret is the small secrets of daily work, kept in the vault beside
// the account: tokens, passwords, keys of services, notes, small files and the
// seeds of second factors.
//
// A Set is the map that the vault saves. What surrounds it gets a secret to the
// program that needs it without a file or a command line in between: Environ
// for one child process, GitCredential for git, CredentialProcess for AWS tools,
// Expand for templates.
//
// What it does not do. A child that gets a secret in its environment can pass it
// on, and other processes of the same user can read it there while the child
// runs. Values lie in ordinary memory; Wipe overwrites the copies it is given,
// the runtime may have made others. HOTP (codes by a counter) is not built.
package secret
