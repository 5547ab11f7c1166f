package cli

import (
	"cipherdeck/ui/action"
)

// Parse finds the action that words name and reads its arguments, for a face
// that runs it in its own way. a is nil when words name none, or cannot be
// understood: then Main says why.
func Parse(list []*action.Action, words []string) (*action.Action, action.Args) {
	a, rest := find(list, words)
	if a == nil {
		return nil, nil
	}
	args, err := parse(a, rest)
	if err != nil || args.Has("help") {
		return nil, nil
	}
	return a, args
}
