package action

import (
	"encoding/json"
	"fmt"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/vault/project"
)

type versionView struct {
	Rev     uint64            `json:"version"`
	Parents []uint64          `json:"replaces"`
	Head    bool              `json:"head"`
	By      string            `json:"by"`
	At      string            `json:"at"`
	Size    int64             `json:"size"`
	Rows    int64             `json:"rows,omitempty"`
	Epoch   uint32            `json:"epoch"` // whose members may know its key
	Message string            `json:"message,omitempty"`
	Facts   map[string]string `json:"facts"`
}

type noteView struct {
	Text string `json:"text"`
	By   string `json:"by"`
	At   string `json:"at"`
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

func viewVersions(r project.Record) []versionView {
	heads := map[uint64]bool{}
	for _, h := range r.Heads() {
		heads[h] = true
	}
	out := []versionView{}
	for _, v := range r.Versions {
		facts := map[string]string{}
		for _, f := range v.Meta {
			facts[f.Key] = f.Value
		}
		out = append(out, versionView{v.Rev, list(v.Parents), heads[v.Rev], v.By, stamp(v.Time), v.Size, v.Rows, r.Keys[v.Key].Born, v.Message, facts})
	}
	return out
}

func showHistory(it project.Item, r project.Record) Result {
	vs := viewVersions(r)
	text := []string{itemLine(it)}
	for i := len(vs) - 1; i >= 0; i-- {
		v, mark := vs[i], " "
		if v.Head {
			mark = "*"
		}
		line := fmt.Sprintf("%s %4d  %s  %10d bytes  by %.8s", mark, v.Rev, v.At, v.Size, v.By)
		if len(v.Parents) > 0 {
			line += fmt.Sprintf("  replaces %d", v.Parents)
		}
		text = append(text, line+"  "+v.Message)
	}
	notes := []noteView{}
	for _, n := range r.Notes {
		notes = append(notes, noteView{n.Text, n.By, stamp(n.Time)})
		text = append(text, fmt.Sprintf("  note  %s  by %.8s  %s", stamp(n.Time), n.By, n.Text))
	}
	return Result{Data: map[string]any{"item": viewItem(it), "versions": vs, "notes": notes}, Text: text}
}

type recordView struct {
	itemView
	ID       string          `json:"id"`
	Created  string          `json:"created"`
	Note     string          `json:"note"`
	Columns  []fieldView     `json:"columns"`
	Version  versionView     `json:"newest"`
	PieceIDs []id.ID         `json:"piece_ids"`
	Document json.RawMessage `json:"document,omitempty"`
}

type fieldView struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func showRecord(it project.Item, r project.Record, ids []id.ID, document json.RawMessage) Result {
	v, _ := r.Version(0)
	vs := viewVersions(r)
	d := recordView{itemView: viewItem(it), ID: it.ID.String(), Created: stamp(r.Created), Note: r.Note(), Columns: []fieldView{}, Version: vs[len(vs)-1], PieceIDs: list(ids), Document: document}
	text := []string{itemLine(it), fmt.Sprintf("  made %s, changed %s by %s", d.Created, d.Version.At, v.By)}
	for _, c := range v.Columns {
		d.Columns = append(d.Columns, fieldView{c.Name, c.Type})
	}
	if len(v.Columns) > 0 {
		text = append(text, fmt.Sprintf("  %d rows × %d columns", v.Rows, len(v.Columns)))
	}
	for _, c := range v.Columns {
		text = append(text, fmt.Sprintf("    %-8s %s", c.Type, c.Name))
	}
	for _, f := range v.Meta {
		text = append(text, fmt.Sprintf("  %s = %s", f.Key, f.Value))
	}
	if d.Note != "" {
		text = append(text, "  note: "+d.Note)
	}
	const most = 3
	for k, i := range ids {
		if k == most {
			text = append(text, fmt.Sprintf("  and %d more pieces", len(ids)-most))
			break
		}
		text = append(text, "  piece "+i.String())
	}
	if document != nil {
		text = append(text, string(document))
	}
	return Result{Data: d, Text: text}
}

type epochView struct {
	Epoch    uint32 `json:"epoch"`
	Current  bool   `json:"current"`
	Items    int    `json:"items"`
	Versions int    `json:"versions"`
	Bytes    int64  `json:"bytes"`
	Sealed   int    `json:"sealed"` // items whose oldest key it seals
}

func viewEpoch(p *project.Project, u project.EpochUse) epochView {
	return epochView{u.Epoch, u.Epoch == p.State().Epoch().Number, u.Items, u.Versions, u.Bytes, u.Sealed}
}

// showEpochs is the proof that a re-encryption is complete, or what is left.
func showEpochs(p *project.Project) Result {
	views, left, bytes := []epochView{}, 0, int64(0)
	text := []string{}
	for _, u := range p.Exposure() {
		now := u.Epoch == p.State().Epoch().Number
		views = append(views, viewEpoch(p, u))
		mark := "old"
		if now {
			mark = "in force"
		} else {
			left, bytes = left+u.Versions, bytes+u.Bytes
		}
		text = append(text, fmt.Sprintf("  epoch %-3d %-8s  %d items, %d versions, %d bytes under keys made in it; it seals keys of %d items", u.Epoch, mark, u.Items, u.Versions, u.Bytes, u.Sealed))
	}
	switch {
	case left > 0:
		text = append(text, fmt.Sprintf("  ! %d versions, %d bytes are under keys that earlier members may have kept: project reencrypt", left, bytes))
	case p.OldNodes():
		text = append(text, "  ? names and keys are partly sealed under an old epoch: project reencrypt --metadata-only")
	default:
		text = append(text, "  ✓ everything is under the epoch in force")
	}
	return Result{Data: map[string]any{"epochs": views, "old_versions": left, "old_bytes": bytes, "old_nodes": p.OldNodes()}, Text: text}
}

type outcomeView struct {
	Do   string `json:"do"`
	Item string `json:"item"`
	Note string `json:"note,omitempty"`
}

func showSync(p *project.Project, done []project.Outcome) Result {
	views := []outcomeView{}
	text := []string{fmt.Sprintf("sent: %s; link %d", count(len(done), "change"), p.Seen().Seq)}
	for _, d := range done {
		views = append(views, outcomeView{d.Do, d.Name, d.Note})
		if d.Note != "" {
			text = append(text, fmt.Sprintf("  ! %s of %s: %s", d.Do, d.Name, d.Note))
		}
	}
	return Result{Data: map[string]any{"sent": views, "seq": p.Seen().Seq}, Text: text}
}
