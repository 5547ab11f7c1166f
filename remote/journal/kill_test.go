package journal_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"cipherdeck/crypto/tlog"
)

// TestMain also is the program that TestKilled kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("JOURNAL_TEST_DIR"); dir != "" {
		recordForEver(dir, os.Getenv("JOURNAL_TEST_ROUND"))
	}
	os.Exit(m.Run())
}

// recordForEver prints each promise once it has it.
func recordForEver(dir, round string) {
	l, err := start(dir, nil)
	if err != nil {
		panic(err)
	}
	n, _ := strconv.Atoi(round)
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				raw, err := l.Record(context.Background(), entry(n*1_000_000+w*100_000+i))
				if err != nil {
					panic(err)
				}
				fmt.Println(base64.StdEncoding.EncodeToString(raw))
			}
		}()
	}
	select {}
}

// rounds is how often TestKilled kills; JOURNAL_KILLS asks for more.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("JOURNAL_KILLS")); err == nil {
		return n
	}
	return 3
}

// TestKilled kills a process that records, at any moment, and then demands that
// every promise it gave is kept, those of all rounds before too.
func TestKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var given [][]byte
	for round := range rounds() {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "JOURNAL_TEST_DIR="+dir, "JOURNAL_TEST_ROUND="+strconv.Itoa(round+1))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 37+29*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(lines.Text()))
			if err != nil {
				break // cut by the kill: nobody has it
			}
			given = append(given, raw)
		}
		_ = cmd.Wait()
		l, err := start(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range given {
			p, err := tlog.OpenPromise(raw, l.Key())
			if err != nil {
				continue // the last line, cut where base64 may end
			}
			kept(t, l, p)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d promises, all kept", rounds(), len(given))
}
