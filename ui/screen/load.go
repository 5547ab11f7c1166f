package screen

import (
	"context"
	"maps"
	"slices"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/ui/app"
	"cipherdeck/vault/project"
)

// detail is a project as its screen shows it, taken from an opened one.
type detail struct {
	ID      string
	Name    string
	Seq     uint64
	Epoch   uint32
	Items   []project.Item
	Members []member
	Grants  []grant
	Damage  error // why the list of items does not open
	Notes   []note
	At      time.Time
}

// member is one member of a project.
type member struct {
	Name, UID, Role string
	Me              bool
	Verified        bool
	Words           string
}

// grant is a node that may run jobs of a project.
type grant struct {
	Node, UID, ID string
	Until         time.Time
}

// surveyed is the answer of survey.
type surveyed struct{ data data }

// boardMoved is what is on the board now.
type boardMoved struct {
	board     *app.Board
	verdicts  map[string]app.Judged
	nodes     map[string]app.Judged
	runs      []app.RunRecord
	passed    []app.Judged // verdicts seen on the way, some replaced by now
	fromWatch bool         // the watch ended with this and must be set again
}

// opened is a project that was read from its server.
type opened struct {
	gen    int
	key    string
	detail *detail
	err    error
}

// survey reads everything that is in the vault. It does not use the network.
func (s *session) survey() cmd {
	round := s.round
	return func() msg {
		d := data{known: true, round: round}
		a := s.app()
		if a == nil {
			return surveyed{d}
		}
		d.facts = a.Facts()
		if !d.facts.Unlocked {
			if d.facts.HasVault {
				d.asks = a.Asks()
			}
			return surveyed{d}
		}
		var errs [4]error
		d.projects, errs[0] = a.Projects()
		d.servers, errs[1] = a.Servers()
		d.people, errs[2] = a.People()
		d.nodes, errs[3] = a.Nodes()
		d.machines = map[string]app.MachineInfo{}
		var names []string
		for _, v := range d.servers {
			names = append(names, v.Name)
		}
		for _, n := range d.nodes {
			names = append(names, machineName(n))
		}
		for _, name := range names {
			if m, err := a.Machine(name); err == nil {
				d.machines[name] = m
			}
		}
		for _, err := range errs {
			if err != nil {
				d.err = err
			}
		}
		return surveyed{d}
	}
}

// lookAtBoard reads the board at once.
func (s *session) lookAtBoard() cmd {
	return func() msg {
		a := s.app()
		if a == nil {
			return nil
		}
		return boardMoved{board: a.Board(), verdicts: a.Board().Verdicts(), nodes: a.Board().Nodes(), runs: a.Board().Runs()}
	}
}

// boardEvery is the shortest time between two pictures of the board.
const boardEvery = 100 * time.Millisecond

// watchBoard waits until the board changes, gathers what else comes in a
// moment, and reads it. The board keeps one verdict a server; a refusal that
// is followed at once by a good one must still be seen, so every change is
// looked at.
func watchBoard(ctx context.Context, b *app.Board) cmd {
	return func() msg {
		select {
		case <-ctx.Done():
			return nil
		case <-b.Changed():
		}
		passed := judgements(b.Verdicts())
		for end := time.After(boardEvery); ; {
			select {
			case <-ctx.Done():
				return nil
			case <-b.Changed():
				passed = append(passed, judgements(b.Verdicts())...)
				continue
			case <-end:
			}
			return boardMoved{board: b, verdicts: b.Verdicts(), nodes: b.Nodes(), runs: b.Runs(), passed: passed, fromWatch: true}
		}
	}
}

// judgements are verdicts in the order of their times.
func judgements(of map[string]app.Judged) []app.Judged {
	all := slices.Collect(maps.Values(of))
	slices.SortFunc(all, func(x, y app.Judged) int { return x.At.Compare(y.At) })
	return all
}

// openProject reads a project from its server and takes what is shown of it.
func (s *session) openProject(key string, gen int) cmd {
	people := map[string]app.Person{}
	for _, p := range s.data.people {
		people[p.UID] = p
	}
	me := s.data.facts.UID
	return func() msg {
		a := s.app()
		if a == nil {
			return opened{gen: gen, key: key, err: app.ErrLocked}
		}
		p, err := a.Project(s.ctx, key)
		if err != nil {
			return opened{gen: gen, key: key, err: err}
		}
		d := takeDetail(p, people, me, s.now())
		if d.Notes, err = takeNotes(a, p, s.now()); err != nil {
			return opened{gen: gen, key: key, err: err}
		}
		return opened{gen: gen, key: key, detail: d}
	}
}

func takeDetail(p *project.Project, people map[string]app.Person, me string, now time.Time) *detail {
	st := p.State()
	d := &detail{ID: p.ID().String(), Name: p.Name(), Seq: st.Seq, Epoch: st.Epoch().Number, Items: p.Items(), Damage: p.Damage(), At: now}
	for _, u := range chain.SortedUIDs(st.Members) {
		m := st.Members[u]
		known := people[u.String()]
		d.Members = append(d.Members, member{Name: m.Account.Name, UID: u.String(), Role: m.Role.String(),
			Me: u.String() == me, Verified: known.Verified, Words: known.Words})
	}
	for _, g := range st.Grants {
		d.Grants = append(d.Grants, grant{Node: g.Node.Name, UID: g.Node.UID.String(), ID: g.ID.String(), Until: g.NotAfter})
	}
	return d
}
