package screen

import (
	"fmt"
	"slices"
	"time"
)

// hide takes an overlay away, if it is still there.
type hide struct{ what overlay }

// briefly shows what an action gave, and takes it away when its time is over.
func (r *root) briefly(m acted) cmd {
	head := fmt.Sprintf("%s: hidden again in %s", m.w.a.Title, m.res.Brief.Round(time.Second))
	o := newText(r.s, head, marked(r.s.th, m.res.Text))
	r.over = append(r.over, o)
	return after(m.res.Brief, hide{o})
}

func (r *root) hide(o overlay) {
	r.over = slices.DeleteFunc(slices.Clone(r.over), func(x overlay) bool { return x == o })
}
