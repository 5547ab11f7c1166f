package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe"
	"cipherdeck/fhe/holder"
	"cipherdeck/remote/server"
	"cipherdeck/ui/app"
)

// changedVersion is what the changed server program calls itself. It is as
// long as app.Version, so that it fits in the same place.
const changedVersion = "6.6.6-bad"

// actCheats plays two cheats, both real: a server that runs another program or
// another configuration, and a node that computes with a changed weight.
func actCheats(ctx context.Context, s *Stage, t *teller, sink progress.Sink) error {
	sink.Phase("a changed server program", 0, progress.None)
	exe, err := s.changedProgram(ctx, t)
	if err != nil {
		return err
	}
	if err := s.cheatingServer(ctx, t, "changed-program", exe, s.config, "binary"); err != nil {
		return err
	}
	sink.Phase("a changed configuration", 0, progress.None)
	c := s.config
	c.TokenTTLSeconds = 86400
	t.say(Info, "the operator keeps logins alive for a day instead of %d s", s.config.TokenTTLSeconds)
	if err := s.cheatingServer(ctx, t, "changed-config", s.opt.Exe, c, "config"); err != nil {
		return err
	}
	t.say(Info, "a software TPM obeys its host: a host that lies on purpose could forge all of this")
	return s.cheatingNode(ctx, t, sink)
}

// changedProgram copies this program with another version string in it.
func (s *Stage) changedProgram(ctx context.Context, t *teller) (string, error) {
	b, err := os.ReadFile(s.opt.Exe)
	if err != nil {
		return "", err
	}
	bad := bytes.ReplaceAll(b, []byte(app.Version), []byte(changedVersion))
	path := s.path("changed-cipherdeck")
	if err := os.WriteFile(path, bad, 0o700); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return "", fmt.Errorf("%w: the changed program does not run: %w", ErrDemo, err)
	}
	return path, t.must(strings.Contains(string(out), changedVersion), "a really different server: a copy of the program that says %q", strings.TrimSpace(string(out)))
}

// cheatingServer runs program exe with configuration c as the operator of the
// honest server could: with the same TLS key and the same manifest. It demands
// that the verdict breaks at exactly this event, before any payload is sent.
func (s *Stage) cheatingServer(ctx context.Context, t *teller, name, exe string, c server.Config, event string) error {
	if err := s.impostor(ctx, name, exe, c); err != nil {
		return err
	}
	v, err := s.Alice.Attest(ctx, name)
	l, berr := broken(v, err, attest.LinkEvents)
	if berr != nil {
		return berr
	}
	seen := s.Alice.Board().Verdicts()[name]
	t.figure(event+"_link", l.ID)
	t.figure(event+"_payload_bytes", seen.Payload)
	if err := t.caught(strings.Contains(l.Found, `"`+event+`"`), "%s %s: %s", attest.Fail, l.ID, l.Found); err != nil {
		return err
	}
	if err := s.noJob(ctx, t, name); err != nil {
		return err
	}
	return t.caught(seen.Payload == 0, "%d payload bytes were sent", seen.Payload)
}

// noJob shows that a run is refused as well, not only the check.
func (s *Stage) noJob(ctx context.Context, t *teller, name string) error {
	w, err := s.planRun(ctx, 0, progress.Discard{})
	if err != nil {
		return err
	}
	uid, err := chain.ParseUID(s.nodeUID)
	if err != nil {
		return err
	}
	at, err := s.Alice.At(s.project, uid)
	if err != nil {
		return err
	}
	at.Server = name
	_, err = s.Alice.Run(ctx, s.project, w, at, progress.Discard{})
	return t.caught(errors.Is(err, attest.ErrRefused), "a run on it does not start")
}

// impostor starts exe beside the honest server, with its TLS key and manifest,
// and has Alice pin it as name. It runs to the end of the demonstration, so
// that it can be asked again by hand.
func (s *Stage) impostor(ctx context.Context, name, exe string, c server.Config) error {
	var err error
	if c.Listen, err = freePort(); err != nil {
		return err
	}
	c.DataDir = s.path(name)
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return err
	}
	for _, f := range []string{server.TLSKeyFile, server.ManifestFile} {
		b, err := os.ReadFile(filepath.Join(s.config.DataDir, f))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(c.DataDir, f), b, 0o600); err != nil {
			return err
		}
	}
	p, code, err := s.startServer(ctx, name, exe, c)
	if err != nil {
		return err
	}
	s.cheats = append(s.cheats, p)
	if code.Pin != s.code.Pin {
		return fmt.Errorf("%w: the impostor has another TLS key", ErrDemo)
	}
	_, err = s.Alice.AddServer(name, code, s.signers(), 0, attest.RootSoftware)
	return err
}

// cheatingNode starts a node that changes one weight of the model by a
// quarter, and demands that the canaries refuse its answer.
func (s *Stage) cheatingNode(ctx context.Context, t *teller, sink progress.Sink) error {
	sink.Phase("a node with a changed weight", 0, progress.None)
	w, err := s.planRun(ctx, 0, sink)
	if err != nil {
		return err
	}
	bound := w.Plan.Forecast.MaxError
	shift := w.LeastShift(cheatFeature, cheatFactor-1)
	if err := t.must(shift >= 10*bound, "the cheat moves every logit by at least %.2g, %.0f times the error bound", shift, shift/bound); err != nil {
		return err
	}
	p, uid, err := s.startNode(ctx, s.cheater, "cheating-node", "cheating-node")
	if err != nil {
		return err
	}
	s.cheats = append(s.cheats, p)
	node, err := chain.ParseUID(uid)
	if err != nil {
		return err
	}
	if _, err := s.Alice.GrantNode(ctx, s.project, node, time.Hour); err != nil {
		return err
	}
	at, err := s.Alice.At(s.project, node)
	if err != nil {
		return err
	}
	out, err := s.Alice.Run(ctx, s.project, w, at, sink)
	if err := t.caught(errors.Is(err, fhe.ErrCanary) && out.Scores == nil, "REJECTED: the node signed a wrong answer and the hidden canaries show it"); err != nil {
		return err
	}
	return detectionLine(t, w)
}

func detectionLine(t *teller, w *app.Work) error {
	p := w.Plan
	change := w.Weight(cheatFeature) * (cheatFactor - 1)
	f := holder.Moved(change, p.Box[cheatFeature], p.Forecast.MaxError)
	prob := holder.DetectionProbability(f, p.Forecast.Canaries)
	t.figure("detection_probability", prob)
	return t.must(prob > 0.999, "detection probability of this cheat %.6f with %d canaries; of altering 5 %% of the rows %.2f, of 1 %% %.2f",
		prob, p.Forecast.Canaries, holder.DetectionProbability(0.05, p.Forecast.Canaries), holder.DetectionProbability(0.01, p.Forecast.Canaries))
}
