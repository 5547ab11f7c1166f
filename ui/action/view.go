package action

import (
	"fmt"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/vault/project"
)

// projectView is a project in JSON.
type projectView struct {
	Name    string       `json:"name"`
	ID      id.ID        `json:"id"`
	Seq     uint64       `json:"seq"`
	Epoch   uint32       `json:"epoch"`
	Items   []itemView   `json:"items"`
	Members []memberView `json:"members"`
	Grants  []grantView  `json:"grants"`
}

type itemView struct {
	Name   string       `json:"name"`
	Kind   project.Kind `json:"kind"`
	Size   int64        `json:"size"`
	Rows   int64        `json:"rows,omitempty"`
	Epoch  uint32       `json:"epoch"`
	Pieces int          `json:"pieces"`
}

type memberView struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
	Role string `json:"role"`
}

type grantView struct {
	ID    id.ID  `json:"id"`
	Node  string `json:"node"`
	Name  string `json:"name"`
	Until string `json:"until"`
}

func viewItem(it project.Item) itemView {
	return itemView{it.Name, it.Kind, it.Size, it.Rows, it.Epoch, len(it.Pieces)}
}

func showProject(p *project.Project) Result {
	st := p.State()
	v := projectView{Name: p.Name(), ID: p.ID(), Seq: st.Seq, Epoch: st.Epoch().Number}
	text := []string{fmt.Sprintf("%s  %s", v.Name, v.ID), fmt.Sprintf("link %d, epoch %d", v.Seq, v.Epoch)}
	for _, it := range p.Items() {
		i := viewItem(it)
		v.Items = append(v.Items, i)
		text = append(text, fmt.Sprintf("  %-8s %-24s %9d bytes  epoch %d", i.Kind, i.Name, i.Size, i.Epoch))
	}
	for _, u := range chain.SortedUIDs(st.Members) {
		m := st.Members[u]
		v.Members = append(v.Members, memberView{m.Account.Name, u.String(), m.Role.String()})
		text = append(text, fmt.Sprintf("  %-8s %-24s %s", m.Role, m.Account.Name, u))
	}
	for _, g := range st.Grants {
		v.Grants = append(v.Grants, grantView{g.ID, g.Node.UID.String(), g.Node.Name, g.NotAfter.UTC().Format(time.RFC3339)})
		text = append(text, fmt.Sprintf("  node     %-24s %s until %s", g.Node.Name, g.Node.UID, g.NotAfter.UTC().Format(time.RFC3339)))
	}
	return Result{Data: v, Text: text}
}
