//go:build unix

package clip

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A program that put the value there and failed after that is no reason to
// leave it there.
func TestFailedLoanIsTakenBack(t *testing.T) {
	kept := filepath.Join(t.TempDir(), "kept")
	store := `cat >"$0"; test "$(cat "$0")" != value`
	c := Clipboard{Name: "sh", set: []string{"sh", "-c", store, kept}, get: []string{"cat", kept}}
	err := c.Lend(t.Context(), []byte("value"), time.Hour, func() { t.Error("it says that it is there") })
	if b, e := os.ReadFile(kept); !errors.Is(err, ErrNone) || e != nil || string(b) != " " {
		t.Errorf("%v; the clipboard has %q, %v", err, b, e)
	}
}
