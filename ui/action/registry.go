package action

import (
	"context"
	"slices"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

// All is the registry: everything a user can do, in the order of help.
func All() []*Action {
	return slices.Concat(vaultActions(), identityActions(), deviceActions(), slotActions(), agentActions(), secretActions(), coretexActions(), fileActions(), containerActions(), dataActions(), projectActions(), memberActions(), itemActions(), bundleActions(), blobActions(), serverActions(), attestActions(), nodeActions(), manifestActions(), journalActions(), keyActions(), fetchActions(), backupActions(), jobActions(), demoActions(), []*Action{doctorAction(), versionAction()})
}

func versionAction() *Action {
	return &Action{ID: "version", Title: "Say which version this is",
		Help: "Prints the name and version of this program.",
		Run: func(context.Context, *app.App, Args, progress.Sink) (Result, error) {
			return Result{Data: map[string]string{"version": app.Version}, Text: []string{"cipherdeck " + app.Version}}, nil
		}}
}
