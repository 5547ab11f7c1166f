package screen

import (
	"testing"

	"cipherdeck/vault/project"
)

func TestItemName(t *testing.T) {
	for want, it := range map[string]project.Item{
		"a":                       {Name: "a", Rev: 1, Heads: 1},
		"a · v3 #raw #x":          {Name: "a", Rev: 3, Heads: 1, Tags: []string{"raw", "x"}},
		"a · 2 versions at once!": {Name: "a", Rev: 3, Heads: 2},
	} {
		if got := itemName(it); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
