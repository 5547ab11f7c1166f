package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// childEnv turns the test binary into a program that saves a vault for ever.
const childEnv = "CIPHERDECK_VAULT_TEST_CHILD"

// fileRing is a Keyring that another process can use too.
type fileRing struct{ path string }

func (r fileRing) Get(context.Context) ([]byte, error) {
	b, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrKeyringMissing
	}
	return b, err
}
func (r fileRing) Set(_ context.Context, b []byte) error { return os.WriteFile(r.path, b, 0o600) }
func (r fileRing) Delete(context.Context) error          { return os.Remove(r.path) }

func TestMain(m *testing.M) {
	if arg := os.Getenv(childEnv); arg != "" {
		if err := child(arg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child counts in the vault; after each save it writes the number it saved.
// arg is the number of saves, 0 for no end, and the path of the vault.
func child(arg string) error {
	count, path, _ := strings.Cut(arg, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	v, err := Open(context.Background(), path, FromKeyring(fileRing{path + ".ring"}))
	if err != nil {
		return err
	}
	if n == rotating {
		return rotateForEver(v, path)
	}
	for i := 0; n == 0 || i < n; i++ {
		var seq uint64
		err := v.Update(func(s *State) error {
			p := s.Projects["count"]
			p.Seq++
			seq = p.Seq
			s.Projects["count"] = p
			return nil
		})
		if err != nil {
			return err
		}
		fmt.Println(seq)
	}
	return nil
}

// rotating, as the number of saves, is a child that rotates the vault key.
const rotating = -1

// rotateForEver begins a rotation that cannot end, ends it by dropping the slot
// whose secret is missing, adds such a slot again, and says so after each call.
func rotateForEver(v *Vault, path string) error {
	mine := FromKeyring(fileRing{path + ".ring"})
	for {
		if _, err := v.RotateKey(context.Background(), nil, mine); err != nil {
			return err
		}
		fmt.Println("begun")
		drop := []string{}
		if r, on := v.Rotating(); on {
			for _, s := range r.Left {
				drop = append(drop, s.ID)
			}
		}
		if _, err := v.RotateKey(context.Background(), drop, mine); err != nil {
			return err
		}
		fmt.Println("done")
		if _, err := v.AddSlot(context.Background(), KeyringSlot(&holder{})); err != nil {
			return err
		}
	}
}

// holder is a keyring that keeps nothing for later.
type holder struct{ ring }

func startChild(t *testing.T, n int, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+strconv.Itoa(n)+" "+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

func counted(t *testing.T, path string) uint64 {
	t.Helper()
	v := open(t, path, FromKeyring(fileRing{path + ".ring"}))
	defer v.Close()
	return v.copyOf(t).Projects["count"].Seq
}

func TestProcessesLoseNothing(t *testing.T) {
	const saves = 25
	path := filepath.Join(dir(t), "vault")
	create(t, path, State{}, KeyringSlot(fileRing{path + ".ring"}))
	one, lines1 := startChild(t, saves, path)
	two, lines2 := startChild(t, saves, path)
	seen := map[string]bool{}
	for _, l := range []*bufio.Scanner{lines1, lines2} {
		for l.Scan() {
			if seen[l.Text()] {
				t.Errorf("number %s was saved twice", l.Text())
			}
			seen[l.Text()] = true
		}
	}
	for _, c := range []*exec.Cmd{one, two} {
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if got := counted(t, path); got != 2*saves || len(seen) != 2*saves {
		t.Fatalf("count is %d after %d saves by two processes", got, 2*saves)
	}
}

// A process is killed at different points of a save. What it had reported as
// saved is there, at most one more, and the next process goes on.
func TestKilledWhileSaving(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	create(t, path, State{}, KeyringSlot(fileRing{path + ".ring"}))
	exists := func(p string) bool { _, err := os.Lstat(p); return err == nil }
	moments := []func() bool{
		func() bool { return true },
		func() bool { return exists(path + ".tmp") },
		func() bool { return exists(path + ".bak.tmp") },
		func() bool { return !exists(path + ".tmp") },
	}
	var cut, beyond int
	for i := range 40 {
		cmd, lines := startChild(t, 0, path)
		for range 1 + i%3 {
			if !lines.Scan() {
				t.Fatal("the child ended by itself")
			}
		}
		reached := moments[i%len(moments)]
		for tries := 0; !reached() && tries < 1<<16; tries++ {
			runtime.Gosched()
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		last := lines.Text()
		for lines.Scan() {
			last = lines.Text()
		}
		cmd.Wait()
		if exists(path + ".tmp") {
			cut++
		}
		reported, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		got := counted(t, path)
		if got != reported && got != reported+1 {
			t.Fatalf("round %d: the vault has %d, reported was %d", i, got, reported)
		}
		if got != reported {
			beyond++
		}
		if exists(path + ".bak") {
			bak := open(t, path+".bak", FromKeyring(fileRing{path + ".ring"}))
			if n := bak.copyOf(t).Projects["count"].Seq; n != got && n != got-1 {
				t.Fatalf("round %d: the copy has %d, the vault %d", i, n, got)
			}
			bak.Close()
		}
	}
	t.Logf("40 kills: %d left an unfinished file, %d fell between rename and report", cut, beyond)
	if cut == 0 {
		t.Log("no kill fell into the writing of the new file: this run shows little")
	}
}
