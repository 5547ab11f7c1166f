package action

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/vault/project"
)

func memberActions() []*Action {
	uid := Arg{Name: "uid", Help: "the member's user id, or name if you have met one such", Need: true}
	return []*Action{
		{ID: "project.role", Title: "Change what a member may do", Vault: true, Can: needsProject, Run: runRole,
			Help: "Nobody becomes an auditor this way, or stops being one: an auditor holds no key, so remove the member and add him again.",
			Args: []Arg{projectArg(), uid, {Name: "role", Flag: "role", Help: "owner, admin, writer or reader", Need: true}}},
		{ID: "project.leave", Title: "Leave a project", Danger: TypeName, Vault: true, Can: needsProject, Run: runLeave,
			Help: "Ends your own membership. You know the key in force, so the project says that a new one is due, which an owner or admin makes with project rotate. The last owner cannot leave.",
			Args: []Arg{projectArg()}},
		{ID: "project.rotate", Title: "Change a project's key", Vault: true, Can: needsProject, Run: runProjectRotate,
			Help: "Starts a new epoch: what is written from now on is sealed under a new key, wrapped for the members of now. What was written before stays under the old ones until project reencrypt; project epochs shows how much that is.",
			Args: []Arg{projectArg()}},
		{ID: "project.invite", Title: "Invite somebody by a token", Vault: true, Can: needsProject, Run: runInvite,
			Help: "Writes a token that one person can answer once, with project accept. Give it to her by a way that nobody else reads: whoever answers first gets in. She need not have an account on the server yet. Then let her in with project admit.",
			Args: []Arg{projectArg(), {Name: "role", Flag: "role", Default: "reader", Help: "admin, writer, reader or auditor"}, {Name: "hours", Flag: "hours", Default: "72", Help: "how long it is open, at most 720"},
				{Name: "out", Flag: "output", Short: "o", Help: "new file for the token; without it, the token is printed"}}},
		{ID: "project.accept", Title: "Answer an invitation", Vault: true, Can: needsServer, Run: runAccept,
			Help: "Reads a token that project invite made. The token pins the project and the server; the project opens once whoever invited you has said project admit.",
			Args: []Arg{{Name: "file", Help: "file with the token", Need: true}, {Name: "name", Flag: "name", Help: "your name for the project"}}},
		{ID: "project.admit", Title: "Let in who answered your invitations", Vault: true, Can: needsProject, Run: runAdmit,
			Help: "Everybody whose answer shows the secret of an invitation of yours becomes a member. Their keys count as known by invitation, which is less than words compared.",
			Args: []Arg{projectArg()}},
		{ID: "project.uninvite", Title: "Withdraw an invitation", Vault: true, Can: needsProject, Run: runUninvite,
			Help: "Its token opens nothing from then on. Who has been admitted by it stays a member: revoke removes him.",
			Args: []Arg{projectArg(), {Name: "invite", Help: "id of the invitation: project show lists them", Need: true}}},
		{ID: "delegate", Title: "Lend rights to a member for a time", Vault: true, Can: needsProject, Run: runDelegate,
			Help: "Of your own rights, for a time; the other one can lend them on, never more and never longer. They are worth nothing any more once you lose them. What is lent to manage members includes no key: the other one must be able to read already.",
			Args: []Arg{projectArg(), uid, {Name: "ops", Flag: "op", Many: true, Help: "write, job, grant or manage; repeat for several"}, {Name: "hours", Flag: "hours", Default: "24", Help: "how long"},
				{Name: "parent", Flag: "from", Help: "id of the delegation that you lend on"}}},
		{ID: "undelegate", Title: "End a delegation", Vault: true, Can: needsProject, Run: runUndelegate,
			Help: "What was lent on from it ends as well. What the other one did with the rights meanwhile stays.",
			Args: []Arg{projectArg(), {Name: "id", Help: "id of the delegation: project show lists them", Need: true}}},
		{ID: "ungrant", Title: "End a node's grant", Vault: true, Can: needsProject, Run: runUngrant,
			Help: "No further job of the project can be sent to the node. What the node was sent before it may have kept.",
			Args: []Arg{projectArg(), {Name: "id", Help: "id of the grant: project show lists them", Need: true}}},
		{ID: "project.word", Title: "Write your signed word about a project's head", Vault: true, Can: needsProject, Run: runWord,
			Help: "Says which head you have verified. Members leave these words for each other on the server at every open; a file carried by another way also shows a server that holds them back.",
			Args: []Arg{projectArg(), {Name: "out", Flag: "output", Short: "o", Help: "new file", Need: true}}},
		{ID: "project.compare", Title: "Compare a member's word with the project you see", Vault: true, Can: needsProject, Run: runCompare,
			Help: "The head that the member verified must be in the chain that the server shows you, or yours in that of the member. Exit code 6 when the server shows you two different histories.",
			Args: []Arg{projectArg(), {Name: "file", Help: "file that project word wrote", Need: true}}},
	}
}

func runRole(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	role := chain.ParseRole(args.Get("role"))
	if role == chain.Nobody {
		return Result{}, fmt.Errorf("%w: role %q: want owner, admin, writer or reader", app.ErrInput, args.Get("role"))
	}
	p, uid, err := projectAndUID(ctx, a, args, "uid")
	if err != nil {
		return Result{}, err
	}
	if err := a.SetRole(ctx, p, uid, role); err != nil {
		return Result{}, err
	}
	return showProject(p), nil
}

func runLeave(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	name := p.Name()
	if err := a.Leave(ctx, p); err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]any{"project": p.ID(), "seq": p.State().Seq, "rotation_due": p.State().Due},
		Text: []string{"you have left " + name, "  what you could read you may have kept; its key is in force until an owner or admin says: project rotate"}}, nil
}

func runProjectRotate(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	if err := a.RotateProject(ctx, p); err != nil {
		return Result{}, err
	}
	r := showEpochs(p)
	st := p.State()
	r.Text = append([]string{fmt.Sprintf("epoch %d is in force since link %d (%s)", st.Epoch().Number, st.Seq, st.Head)}, r.Text...)
	return r, nil
}

func runInvite(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	role := chain.ParseRole(args.Get("role"))
	if role == chain.Nobody || role == chain.Owner {
		return Result{}, fmt.Errorf("%w: role %q: want admin, writer, reader or auditor", app.ErrInput, args.Get("role"))
	}
	life, err := hours(args)
	if err != nil {
		return Result{}, err
	}
	if life > chain.InviteLife {
		return Result{}, fmt.Errorf("%w: --hours is at most %d", app.ErrInput, int(chain.InviteLife.Hours()))
	}
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	var f *os.File
	if out := args.Get("out"); out != "" { // before an invitation is open whose token nobody has
		if f, err = os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return Result{}, err
		}
		defer f.Close()
	}
	i, token, err := a.Invite(ctx, p, role, life)
	if err != nil {
		if f != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
		return Result{}, err
	}
	data := map[string]any{"invite": i.ID.String(), "role": role.String(), "until": a.Now().Add(life).UTC().Format(time.RFC3339)}
	r := Result{Text: []string{fmt.Sprintf("invitation %s for a %s, open for %d hours, good once", i.ID, role, int(life.Hours())), "  whoever has the token and answers first gets in; when she has: project admit " + args.Get("project")}}
	if f == nil {
		data["token"] = token
		r.Text = append(r.Text, "", token)
	} else if _, err := fmt.Fprintln(f, token); err != nil {
		return Result{}, err
	}
	r.Data = data
	return r, nil
}

// hours reads --hours.
func hours(args Args) (time.Duration, error) {
	n, err := strconv.Atoi(args.Get("hours"))
	if err != nil || n < 1 || n > 24*366 {
		return 0, fmt.Errorf("%w: --hours is a number, 1 or more", app.ErrInput)
	}
	return time.Duration(n) * time.Hour, nil
}

func runAccept(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	raw, err := readSmall(args.Get("file"))
	if err != nil {
		return Result{}, err
	}
	info, err := a.Accept(ctx, string(raw), args.Get("name"))
	if err != nil {
		return Result{}, err
	}
	return Result{Data: info, Text: []string{fmt.Sprintf("answered; %q opens when whoever invited you says: project admit", info.Name)}}, nil
}

func runAdmit(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	in, foreign, err := a.Admit(ctx, p)
	if err != nil && len(in) > 0 {
		err = fmt.Errorf("%d were admitted before: %w", len(in), err)
	}
	if err != nil {
		return Result{}, err
	}
	r := Result{Data: map[string]any{"admitted": list(in), "foreign": foreign}, Text: []string{fmt.Sprintf("%d admitted", len(in))}}
	if len(in)+foreign == 0 {
		r.Text[0] = "nobody has answered an open invitation of yours yet"
	}
	for _, g := range in {
		r.Text = append(r.Text, fmt.Sprintf("  %-8s %-24s %s  known by invitation; compare words to be sure", g.Role, g.Name, g.UID))
	}
	if foreign > 0 {
		r.Text = append(r.Text, fmt.Sprintf("  ! %d answers do not show the secret of an invitation of yours: another member's guests, or somebody who guesses", foreign))
	}
	return r, nil
}

func runUninvite(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	i, err := chain.ParseInviteID(args.Get("invite"))
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", app.ErrInput, err)
	}
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	if err := a.Uninvite(ctx, p, i); err != nil {
		return Result{}, err
	}
	return showProject(p), nil
}

func runDelegate(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	var ops []chain.Op
	for _, w := range args.All("ops") {
		op, ok := chain.ParseOp(w)
		if !ok {
			return Result{}, fmt.Errorf("%w: --op %q: want write, job, grant or manage", app.ErrInput, w)
		}
		ops = append(ops, op)
	}
	life, err := hours(args)
	if err != nil {
		return Result{}, err
	}
	var parent id.ID
	if s := args.Get("parent"); s != "" {
		if parent, err = id.Parse(s); err != nil {
			return Result{}, fmt.Errorf("%w: --from: %w", app.ErrInput, err)
		}
	}
	p, uid, err := projectAndUID(ctx, a, args, "uid")
	if err != nil {
		return Result{}, err
	}
	i, err := a.Delegate(ctx, p, uid, ops, life, parent)
	if err != nil {
		return Result{}, err
	}
	r := showProject(p)
	r.Text = append([]string{"delegation " + i.String()}, r.Text...)
	return r, nil
}

// byID runs do with the project and the id of an action's arguments.
func byID(ctx context.Context, a *app.App, args Args, do func(*project.Project, id.ID) error) (Result, error) {
	i, err := id.Parse(args.Get("id"))
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", app.ErrInput, err)
	}
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	if err := do(p, i); err != nil {
		return Result{}, err
	}
	return showProject(p), nil
}

func runUndelegate(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	return byID(ctx, a, args, func(p *project.Project, i id.ID) error { return a.Undelegate(ctx, p, i) })
}

func runUngrant(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	return byID(ctx, a, args, func(p *project.Project, i id.ID) error { return a.Ungrant(ctx, p, i) })
}

func runWord(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	p, err := a.ProjectUnheard(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	raw, err := a.Word(p)
	if err != nil {
		return Result{}, err
	}
	f, err := os.OpenFile(args.Get("out"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return Result{}, err
	}
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Close()); err != nil {
		return Result{}, err
	}
	st := p.State()
	return Result{Data: map[string]any{"project": p.ID(), "seq": st.Seq, "head": st.Head}, Text: []string{fmt.Sprintf("your word: link %d of %s is %s", st.Seq, p.Name(), st.Head)}}, nil
}

func runCompare(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	raw, err := readSmall(args.Get("file"))
	if err != nil {
		return Result{}, err
	}
	p, err := a.ProjectUnheard(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	s, err := p.Compare(raw)
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]any{"name": s.Name, "uid": s.Author.String(), "seq": s.Seq, "head": s.Head, "at": s.Time.UTC().Format(time.RFC3339)},
		Text: []string{fmt.Sprintf("✓ %s saw the same project: link %d, %s, on %s", s.Name, s.Seq, s.Head.Short(), s.Time.UTC().Format(time.RFC3339))}}, nil
}

// heardLines says what the words of others are worth here.
func heardLines(p *project.Project, now time.Time) (string, bool) {
	h := p.Heard()
	switch {
	case p.Offline():
		return "  not compared with anybody: offline", false
	case len(h.Agree) == 0 && len(p.State().Members) == 1:
		return "  nobody else is a member: the head is checked against this vault alone", false
	case len(h.Agree) == 0:
		return "  ! no other member has said what he sees: the head is checked against this vault alone", false
	case !h.Fresh(now):
		return fmt.Sprintf("  ! the newest word of another member is %d days old", int(now.Sub(h.Newest).Hours()/24)), false
	}
	return fmt.Sprintf("  ✓ %d other(s) saw this project, last on %s", len(h.Agree), h.Newest.UTC().Format(time.RFC3339)), true
}

// opsText joins operations for people.
func opsText(ops []chain.Op) string {
	var w []string
	for _, o := range ops {
		w = append(w, o.String())
	}
	return strings.Join(w, "+")
}
