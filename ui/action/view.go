package action

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/seal"
	"cipherdeck/ui/app"
	"cipherdeck/vault/project"
)

// projectView is a project in JSON.
type projectView struct {
	Name    string       `json:"name"`
	ID      id.ID        `json:"id"`
	Seq     uint64       `json:"seq"`
	Epoch   uint32       `json:"epoch"`
	Age     int          `json:"epoch_days"` // how old the epoch is
	Due     bool         `json:"rotation_due"`
	Damage  string       `json:"damage,omitempty"`
	Items   []itemView   `json:"items"`
	Members []memberView `json:"members"`
	Grants  []grantView  `json:"grants"`
	Invites []inviteView `json:"invites"`
	Lent    []lentView   `json:"delegations"`
	Heard   int          `json:"heard"` // other members whose word about the head fits
	Offline bool         `json:"offline"`
	Unsent  int          `json:"unsent"` // changes that wait for project sync
}

type itemView struct {
	Name   string       `json:"name"`
	Kind   project.Kind `json:"kind"`
	Size   int64        `json:"size"`
	Rows   int64        `json:"rows,omitempty"`
	Epoch  uint32       `json:"epoch"` // the oldest whose members may know a key of it
	Pieces int          `json:"pieces"`
	Rev    uint64       `json:"version"`
	Heads  uint32       `json:"heads"` // more than 1: changed twice at the same time
	Tags   []string     `json:"tags"`
	Waits  bool         `json:"waits,omitempty"` // changed here and not sent yet
}

type memberView struct {
	Name    string `json:"name"`
	UID     string `json:"uid"`
	Role    string `json:"role"`
	By      string `json:"added_by"`
	Invited bool   `json:"invited,omitempty"`

	Trust app.Trust `json:"trust,omitempty"` // what stands behind the belief that the keys are his
}

type inviteView struct {
	ID    string `json:"id"`
	Role  string `json:"role"`
	Until string `json:"until"`
	By    string `json:"by"`
}

type lentView struct {
	ID    id.ID    `json:"id"`
	By    string   `json:"by"`
	To    string   `json:"to"`
	Ops   []string `json:"ops"`
	Until string   `json:"until"`
}

type grantView struct {
	ID    id.ID  `json:"id"`
	Node  string `json:"node"`
	Name  string `json:"name"`
	Until string `json:"until"`

	Attested bool    `json:"attested"`             // it is for a key in the TPM of a machine that was attested
	AK       string  `json:"attestation_key_name"` // of that machine
	Held     string  `json:"suspended"`            // why this vault sends the node no job, "" when it may
	Models   []id.ID `json:"models"`               // that jobs may name; none: any
}

func viewItem(it project.Item) itemView {
	return itemView{it.Name, it.Kind, it.Size, it.Rows, it.Born(), it.Pieces(), it.Rev, it.Heads, list(it.Tags), false}
}

// itemLine is an item in a listing.
func itemLine(it project.Item) string {
	line := fmt.Sprintf("  %-8s %-24s %9d bytes  epoch %d  version %d", it.Kind, it.Name, it.Size, it.Born(), it.Rev)
	if it.Heads > 1 {
		line += fmt.Sprintf("  ! %d versions made at the same time", it.Heads)
	}
	for _, t := range it.Tags {
		line += " #" + t
	}
	return line
}

func showProject(p *project.Project) Result { return showKnown(p, nil, nil) }

// showTrusted is showProject with what stands behind each member's keys, and
// which nodes are suspended here.
func showTrusted(a *app.App, p *project.Project) (Result, error) {
	t, err := a.MemberTrust(p)
	if err != nil {
		return showProject(p), err
	}
	nodes, err := a.Nodes()
	held := map[string]string{}
	for _, n := range nodes {
		held[n.UID] = n.Held
	}
	return showKnown(p, t, held), err
}

func showKnown(p *project.Project, trust map[chain.UID]app.Trust, held map[string]string) Result {
	st := p.State()
	v := projectView{Name: p.Name(), ID: p.ID(), Seq: st.Seq, Epoch: st.Epoch().Number, Items: []itemView{}, Members: []memberView{}, Grants: []grantView{}, Invites: []inviteView{}, Lent: []lentView{}, Heard: len(p.Heard().Agree)}
	text := []string{fmt.Sprintf("%s  %s", v.Name, v.ID), fmt.Sprintf("link %d, epoch %d", v.Seq, v.Epoch)}
	age := p.EpochAge()
	v.Age, v.Due = int(age.Hours()/24), age > project.KeyAge
	if v.Due {
		text = append(text, fmt.Sprintf("  ! the key is %d days old; after %d days it is due to be changed", v.Age, int(project.KeyAge.Hours()/24)))
	}
	if st.Due {
		v.Due = true
		text = append(text, "  ! somebody who left, or keys that were changed, know the project's key: project rotate "+v.Name)
	}
	said, _ := heardLines(p, time.Now())
	text = append(text, said)
	if d := p.Damage(); d != nil {
		v.Damage = d.Error()
		text = append(text, "  ✗ the list of items does not open: "+v.Damage, "    members can be removed; then: project repair "+v.Name)
	}
	for _, it := range p.Items() {
		i := viewItem(it)
		v.Items = append(v.Items, i)
		text = append(text, itemLine(it))
	}
	for _, u := range chain.SortedUIDs(st.Members) {
		m := st.Members[u]
		v.Members = append(v.Members, memberView{m.Account.Name, u.String(), m.Role.String(), m.By.String(), m.Invited, trust[u]})
		text = append(text, strings.TrimRight(fmt.Sprintf("  %-8s %-24s %s  %s", m.Role, m.Account.Name, u, trust[u].Says()), " "))
	}
	for _, i := range slices.SortedFunc(maps.Keys(st.Grants), id.Compare) {
		g := st.Grants[i]
		view, lines := viewGrant(g, held[g.Node.UID.String()])
		v.Grants, text = append(v.Grants, view), append(text, lines...)
	}
	for _, i := range slices.SortedFunc(maps.Keys(st.Invites), func(a, b chain.InviteID) int { return strings.Compare(a.String(), b.String()) }) {
		n := st.Invites[i]
		until := n.NotAfter.UTC().Format(time.RFC3339)
		v.Invites = append(v.Invites, inviteView{i.String(), n.Role.String(), until, n.By.String()})
		text = append(text, fmt.Sprintf("  invited  %-24s %s until %s", n.Role, i, until))
	}
	for _, i := range slices.SortedFunc(maps.Keys(st.Delegations), id.Compare) {
		d := st.Delegations[i]
		l := lentView{ID: i, By: d.By.String(), To: d.To.String(), Until: d.NotAfter.UTC().Format(time.RFC3339)}
		for _, o := range d.Ops {
			l.Ops = append(l.Ops, o.String())
		}
		v.Lent = append(v.Lent, l)
		text = append(text, fmt.Sprintf("  lent     %-24s %s to %s until %s", opsText(d.Ops), i, st.Members[d.To].Account.Name, l.Until))
	}
	return Result{Data: v, Text: text}
}

// withUnsent adds to a shown project what this machine knows more than its
// server.
func withUnsent(r Result, p *project.Project, n int) Result {
	v := r.Data.(projectView)
	v.Offline, v.Unsent = p.Offline(), n
	r.Data = v
	if n > 0 {
		r.Text = append(r.Text, "  ! waiting here: "+count(n, "change")+" made offline; send with: project sync")
	}
	return r
}

// list is a list in JSON also when it is empty.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// reportView is what a removal did, in JSON.
type reportView struct {
	UID    string      `json:"uid"`
	Name   string      `json:"name"`
	Role   string      `json:"role"`
	Epoch  uint32      `json:"new_epoch"`
	Items  int         `json:"could_read_items"`
	Revs   int         `json:"could_read_versions"`
	Bytes  int64       `json:"could_read_bytes"`
	Epochs []epochView `json:"epochs"` // what lies under the keys of each: project epochs
}

func viewReport(r project.Report) reportView {
	return reportView{r.UID.String(), r.Name, r.Role.String(), r.NewEpoch, r.Items, r.Versions, r.Bytes, []epochView{}}
}

// containerView is what anybody can see of a container, in JSON.
type containerView struct {
	Version    uint16          `json:"version"`
	Header     int64           `json:"header_bytes"`
	File       string          `json:"file"`
	Padded     bool            `json:"padded"`
	Archive    bool            `json:"archive"`
	Quantum    bool            `json:"post_quantum"`
	Recipients []recipientView `json:"recipients"`
}

type recipientView struct {
	Type    string `json:"type"`
	Quantum bool   `json:"post_quantum"`
	Name    string `json:"name,omitempty"` // if the vault knows it
	Hidden  bool   `json:"hidden,omitempty"`
	RSA     string `json:"rsa,omitempty"`
	XWing   string `json:"x_wing,omitempty"`
	Project string `json:"project_prefix,omitempty"`
	Epoch   uint32 `json:"epoch,omitempty"`
}

func viewContainer(i seal.Info) containerView {
	v := containerView{Version: i.Version, Header: i.HeaderLen, File: fmt.Sprintf("%x", i.File), Padded: i.Padded(), Archive: i.Archive(), Quantum: i.PostQuantum(), Recipients: []recipientView{}}
	for _, r := range i.Recipients {
		v.Recipients = append(v.Recipients, viewRecipient(r))
	}
	return v
}

func viewRecipient(r seal.RecipientInfo) recipientView {
	v := recipientView{Hidden: r.Hidden, Quantum: r.PostQuantum()}
	switch r.Type {
	case seal.TypeHybrid:
		v.Type = "hybrid"
	case seal.TypeXWing:
		v.Type = "x-wing"
	case seal.TypeRSA:
		v.Type = "rsa"
	case seal.TypePassphrase:
		v.Type = "passphrase"
	case seal.TypeEpoch:
		v.Type, v.Epoch, v.Project = "epoch", r.Epoch, projectPrefix(r.Prefix)
	default:
		v.Type = fmt.Sprintf("type %d", r.Type)
	}
	if !r.Hidden && (r.Type == seal.TypeHybrid || r.Type == seal.TypeRSA) {
		v.RSA = fmt.Sprint(r.RSA)
	}
	if !r.Hidden && (r.Type == seal.TypeHybrid || r.Type == seal.TypeXWing) {
		v.XWing = fmt.Sprint(r.XWing)
	}
	return v
}
