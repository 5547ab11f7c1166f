//go:build linux

package app

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cipherdeck/crypto/progress"
	"cipherdeck/vault"
	"cipherdeck/vault/agent"
)

// What is typed at a locked screen is tried, and no keyring instead of it.
func TestTypedIsWhatOpens(t *testing.T) {
	d := patient(t)
	if _, err := d.a.UnlockTyped(t.Context(), []byte("something else")); !errors.Is(err, vault.ErrWrongPassphrase) || d.a.Facts().Unlocked {
		t.Fatalf("a wrong passphrase: %v", err)
	}
	none := func(context.Context) ([]byte, error) { return nil, errors.New("asked") }
	if id, err := d.a.Unlock(t.Context(), none); err != nil || id.By != string(WayKeyring) {
		t.Fatalf("control: the keyring opens it: %+v %v", id, err)
	}
}

func TestAsksForWhatOpens(t *testing.T) {
	d := patient(t)
	if got := d.a.Asks(); got != "Passphrase" {
		t.Errorf("a passphrase slot: %q", got)
	}
	d.slotted(t, vault.SlotPKCS11)
	d.slotted(t, vault.SlotTPM)
	slots, err := d.a.Slots()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"PIN of the TPM", "PIN of the TPM", "PIN of the token"} {
		id := slots[i].ID // passphrase, keyring, then the TPM in the place of the token
		if i == 2 {
			id = slots[3].ID
		}
		if err := d.a.RemoveSlot(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if got := d.a.Asks(); got != want {
			t.Errorf("without slot %d: %q, want %q", i, got, want)
		}
	}
}

func TestCloseClearsTheBoard(t *testing.T) {
	a := New(Config{Home: t.TempDir()})
	run := a.board.begin(RunRecord{Project: "p"}, progress.Discard{})
	a.board.judged(Judged{Server: "s"})
	a.Close()
	run.end(&Outcome{Scores: []float64{1}}, nil, time.Now())
	if len(a.board.Runs())+len(a.board.Verdicts()) > 0 {
		t.Error("the board of a locked vault is not empty")
	}
}

func TestOneQuestionAtATime(t *testing.T) {
	var inside atomic.Int32
	entered, answer := make(chan string), make(chan error)
	ask := asksAgent(func(_ context.Context, q string) error {
		if inside.Add(1) > 1 {
			t.Error("two questions at once")
			return nil
		}
		defer inside.Add(-1)
		entered <- q
		return <-answer
	})
	done := make(chan error)
	use := func(u agent.Use) { done <- ask(t.Context(), u) }
	go use(agent.Use{Vault: "aa", PID: 7, Purpose: "x\x1b[2J"})
	if q := <-entered; strings.Contains(q, "\x1b") || !strings.Contains(q, "process 7") || !strings.Contains(q, "vault aa") {
		t.Errorf("question %q", q)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	for range 32 { // a select takes any way that is open: one of these would get in
		if err := ask(late, agent.Use{Vault: "bb"}); !errors.Is(err, context.Canceled) {
			t.Fatalf("while another question is open: %v", err)
		}
	}
	answer <- nil
	if err := <-done; err != nil {
		t.Error(err)
	}
	go use(agent.Use{Vault: "cc"})
	<-entered
	answer <- errors.New("no")
	if err := <-done; err == nil {
		t.Error("a no is a yes")
	}
}
