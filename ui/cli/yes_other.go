//go:build !linux

package cli

import "cipherdeck/ui/app"

// terminalYes: a question that waits on a terminal cannot be taken back on every
// system; --confirm-with PROGRAM can.
func terminalYes() app.AskYes { return nil }
