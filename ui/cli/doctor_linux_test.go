package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// doctorSays runs doctor under a shell's limits, as a user whom the system may
// refuse something, and returns the states.
func doctorSays(t *testing.T, limits string, env ...string) map[string]string {
	t.Helper()
	dir, exe, cred := asNobody(t)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", limits+` && exec "$0" doctor --json`, exe)
	cmd.Env, cmd.Dir, cmd.SysProcAttr, cmd.Stderr = append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, env...), dir, cred, os.Stderr
	out, _ := cmd.Output() // something may be bad on this machine
	var a struct {
		Data []struct{ ID, State string }
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := map[string]string{}
	for _, f := range a.Data {
		got[f.ID] = f.State
	}
	return got
}

func TestDoctorSeesLimits(t *testing.T) {
	for _, c := range []struct{ limits, id, want string }{
		{"ulimit -l 0", "memory.lock", "warn"},
		{"ulimit -l 64", "memory.lock", "ok"},
		{"ulimit -c 0", "memory.cores", "ok"},
		{"ulimit -c 100", "memory.cores", "warn"},
	} {
		if exec.Command("sh", "-c", c.limits).Run() != nil {
			t.Logf("SKIPPED, NOT TESTED: %s is not allowed here", c.limits)
			continue
		}
		if got := doctorSays(t, c.limits)[c.id]; got != c.want {
			t.Errorf("%s: %s is %q, want %q", c.limits, c.id, got, c.want)
		}
	}
}

// main takes the passphrase out of the environment before anything looks.
func TestDoctorSeesThePassphraseOfTheRealProcess(t *testing.T) {
	if got := doctorSays(t, "true")["env.passphrase"]; got != "ok" {
		t.Errorf("without one: %q", got)
	}
	if got := doctorSays(t, "true", "CIPHERDECK_PASSPHRASE=x")["env.passphrase"]; got != "warn" {
		t.Errorf("with one: %q", got)
	}
}

// The real agent is told from something else that listens in its place.
func TestDoctorSeesTheRealAgent(t *testing.T) {
	dir, exe, cred := asNobody(t)
	if cred.Credential == nil {
		cred = nil
	}
	cmd := exec.CommandContext(t.Context(), exe, "agent")
	cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir}, dir, cred
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	if _, err := out.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	look := exec.CommandContext(t.Context(), exe, "doctor", "--json")
	look.Env, look.Dir, look.SysProcAttr = cmd.Env, dir, cred
	said, _ := look.Output()
	var a struct {
		Data []struct{ ID, State, Found string }
	}
	if err := json.Unmarshal(said, &a); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, f := range a.Data {
		if f.ID == "agent" {
			if f.State != "ok" || f.Found == "no unlock agent runs" {
				t.Errorf("%+v", f)
			}
			return
		}
	}
	t.Errorf("nothing about the agent:\n%s", said)
}
