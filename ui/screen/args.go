package screen

import (
	"fmt"
	"slices"
	"strings"

	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/vault/project"
)

// formFor makes the form that asks for an action's arguments. It is nil when
// nothing needs to be asked, and then the arguments are complete.
func (s *session) formFor(a *action.Action, on screen) (*formOver, action.Args) {
	fixed := action.Args{}
	f := &part.Form{Title: a.Title, Submit: short(a)}
	for _, arg := range a.Args {
		if arg.Text {
			continue
		}
		if v, ok := s.settled(a, arg, on); ok {
			fixed[arg.Name] = []string{v}
			continue
		}
		f.Fields = append(f.Fields, s.field(a, arg, on))
	}
	if p := fixed.Get("project"); p != "" {
		f.Title += " · " + s.projectName(p)
	}
	if a.Danger == action.TypeName {
		s.typeName(a, f)
	}
	if a.Danger == action.Confirm {
		f.Fields = append(f.Fields, &part.Field{Name: confirmField, Label: "Sure?", Kind: part.Switch, Need: true})
	}
	if len(f.Fields) == 0 {
		return nil, fixed
	}
	return &formOver{s: s, form: f, send: func(fo *formOver) cmd {
		args := gather(a, fo.form, fixed)
		return func() msg { return start{a, args, fo} }
	}}, nil
}

// confirmField is a field that belongs to the asking, not to the action.
const confirmField = "\x00confirm"

// settled is the value of an argument that the screen has chosen already.
func (s *session) settled(a *action.Action, arg action.Arg, on screen) (string, bool) {
	switch {
	case arg.Name == "project":
		if v, ok := on.pick("project"); ok {
			return v, true
		}
		return s.project, s.project != "" && s.data.detail[s.project] != nil
	case arg.Name == "server" && a.Screen == on.name() && on.name() == "servers":
		return on.pick("server")
	case arg.Name == "server" && len(s.data.servers) == 1:
		return s.data.servers[0].Name, true
	case arg.Name == "until-eof":
		return "", false
	}
	return "", false
}

// field is how to ask for one argument.
func (s *session) field(a *action.Action, arg action.Arg, on screen) *part.Field {
	f := &part.Field{Name: arg.Name, Label: labelOf(a, arg), Help: arg.Help, Need: arg.Need}
	if arg.Switch {
		f.Kind = part.Switch
		return f
	}
	f.Options = s.options(a, arg)
	if len(f.Options) == 0 {
		f.Input.Set(arg.Default)
		if arg.Many {
			f.Help += "; several are set apart by spaces"
		}
		return f
	}
	f.Kind = part.Choice
	if !arg.Need && arg.Default == "" && arg.Name != "node" { // nobody said the first one of them; any granted node will do
		f.Options = append([]part.Option{{Label: "not said"}}, f.Options...)
	}
	want, _ := on.pick(arg.Name)
	if want == "" {
		want = arg.Default
	}
	f.At = max(0, slices.IndexFunc(f.Options, func(o part.Option) bool { return o.Value == want }))
	return f
}

// labelOf is the argument's name as a person would say it.
func labelOf(a *action.Action, arg action.Arg) string {
	switch {
	case arg.Name == "uid" && a.ID == "people.add":
		return "user id"
	case arg.Name == "uid":
		return "person"
	case arg.Name == "words":
		return "their words"
	}
	return strings.ReplaceAll(arg.Name, "-", " ")
}

// options are the values an argument can have, as far as they are known here.
func (s *session) options(a *action.Action, arg action.Arg) []part.Option {
	d := s.data.detail[s.project]
	switch arg.Name {
	case "project":
		return each(s.data.projects, func(p app.ProjectInfo) part.Option { return part.Option{Label: p.Name, Value: p.ID.String()} })
	case "server":
		return each(s.data.servers, func(v app.ServerInfo) part.Option { return part.Option{Label: v.Name, Value: v.Name} })
	case "role":
		return choices("reader", "writer", "auditor", "admin", "owner")
	case "kind":
		return choices("dataset", "model", "task", "artifact", "run")
	case "root":
		return choices("hardware", "vtpm", "software")
	case "uid":
		return s.persons(a, d)
	case "node":
		if a.ID == "run" && d != nil {
			return each(d.Grants, func(g grant) part.Option {
				return part.Option{Label: fmt.Sprintf("%s  until %s", g.Node, g.Until.Format("2 Jan 15:04")), Value: g.UID}
			})
		}
	case "model", "data", "item":
		if a.ID != "plan" && d != nil {
			return items(d, arg.Name)
		}
	}
	return nil
}

func (s *session) persons(a *action.Action, d *detail) []part.Option {
	switch {
	case a.ID == "people.add":
		return nil
	case a.Danger == action.TypeName && d != nil:
		var out []part.Option
		for _, m := range d.Members {
			if !m.Me {
				out = append(out, part.Option{Label: m.Name + "  " + m.Role, Value: m.UID})
			}
		}
		return out
	}
	var out []part.Option
	for _, p := range s.data.people {
		word := "? not verified"
		if p.Verified {
			word = "✓ verified"
		}
		out = append(out, part.Option{Label: p.Name + "  " + word + "  " + brief(p.UID), Value: p.UID})
	}
	return out
}

func items(d *detail, name string) []part.Option {
	want := map[string]project.Kind{"model": project.Model, "data": project.Dataset}[name]
	var out []part.Option
	for _, it := range d.Items {
		if want == "" || it.Kind == want {
			out = append(out, part.Option{Label: it.Name, Value: it.Name})
		}
	}
	return out
}

// typeName asks for the name of what is lost.
func (s *session) typeName(a *action.Action, f *part.Form) {
	f.Intro = a.Help
	f.Fields = append(f.Fields, &part.Field{Name: confirmField, Label: "type the name", Help: "to make sure it is the one you mean", Need: true})
	f.Check = func(f *part.Form) string {
		name := s.nameOf(f)
		if typed := f.Field(confirmField).Value(); typed != name {
			return fmt.Sprintf("you typed %q, the name is %q: nothing was done", typed, name)
		}
		return ""
	}
}

// nameOf is the name of the person or thing chosen in a form.
func (s *session) nameOf(f *part.Form) string {
	uid := f.Field("uid")
	if uid == nil {
		return s.projectName(s.project)
	}
	if d := s.data.detail[s.project]; d != nil {
		for _, m := range d.Members {
			if m.UID == uid.Value() {
				return m.Name
			}
		}
	}
	return uid.Value()
}

func (s *session) projectName(key string) string {
	for _, p := range s.data.projects {
		if p.ID.String() == key {
			return p.Name
		}
	}
	return key
}

// gather reads the arguments out of a filled form.
func gather(a *action.Action, f *part.Form, fixed action.Args) action.Args {
	args := action.Args{}
	for k, v := range fixed {
		args[k] = v
	}
	for _, arg := range a.Args {
		x := f.Field(arg.Name)
		if x == nil {
			continue
		}
		v := x.Value()
		switch {
		case v == "":
		case arg.Many:
			args[arg.Name] = strings.Fields(v)
		default:
			args[arg.Name] = []string{v}
		}
	}
	return args
}

func each[T any](list []T, f func(T) part.Option) []part.Option {
	out := make([]part.Option, 0, len(list))
	for _, x := range list {
		out = append(out, f(x))
	}
	return out
}

func choices(list ...string) []part.Option {
	return each(list, func(w string) part.Option { return part.Option{Label: w, Value: w} })
}

// brief is enough of a user id to tell two apart on a screen.
func brief(uid string) string { return uid[:min(8, len(uid))] }
