package screen

import (
	"context"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
)

// idle is how an open workstation locks when nobody touches it. Only keys
// count, and only wall time: the clock that timers use stands still while the
// machine sleeps, so the time is also looked at before a key is believed.
//
// Nothing ticks for it. One timer runs while the vault is open, for as long as
// is left at least; when it is over it is set again for what keys have added.
type idle struct {
	after time.Duration // 0: never
	last  time.Time     // of the last key
	armed bool          // the timer runs
	owed  string        // why it locks as soon as what is under way has ended
}

// clockBack is how far the clock may go back before it cannot be trusted to
// say how long nobody was here.
const clockBack = time.Minute

// rested is when the timer of idle is over.
type rested struct{}

// wall is now, without the reading of the clock that stands still in sleep.
func (r *root) wall() time.Time { return r.s.now().Round(0) }

// tired says why the vault is to be locked, "" if it is not.
func (r *root) tired() string {
	if r.idle.after == 0 || !r.s.data.facts.Unlocked || r.s.story != nil {
		return ""
	}
	switch now := r.wall(); {
	case now.Sub(r.idle.last) >= r.idle.after:
		return "idle for " + span(r.idle.after)
	case now.Before(r.idle.last.Add(-clockBack)):
		return "the clock was set back"
	}
	return ""
}

// rest locks when nobody was here for too long. A run or an upload is not cut:
// it locks when that has ended.
func (r *root) rest() cmd {
	if r.idle.owed == "" {
		r.idle.owed = r.tired()
	}
	if r.idle.owed == "" || len(r.s.works)+r.running() > 0 {
		return nil
	}
	return r.lockFor(r.idle.owed)
}

// rests is rest when the timer is over.
func (r *root) rests() cmd {
	r.idle.armed = false
	return all(r.rest(), r.arm())
}

// arm starts the timer, unless it runs or is of no use.
func (r *root) arm() cmd {
	if r.idle.after == 0 || r.idle.armed || r.idle.owed != "" || !r.s.data.facts.Unlocked || r.s.story != nil {
		return nil
	}
	r.idle.armed = true
	left := r.idle.last.Add(r.idle.after).Sub(r.wall())
	return after(max(left, time.Millisecond), rested{})
}

// touched takes a key that comes too late: it locks, or changes nothing while
// the lock waits for work. Whoever comes back to a locked desk is not yet known.
func (r *root) touched(k part.Key) (c cmd, mine bool) {
	c = r.rest()
	if c == nil && r.idle.owed == "" {
		r.idle.last = r.wall()
		return nil, false
	}
	mine = c != nil || k.Name != "ctrl+c" && k.Name != "ctrl+l" && !r.stopping
	return c, mine
}

// owes says what the lock waits for.
func (r *root) owes() string {
	return r.idle.owed + ": locks when this has ended; ctrl+l locks now and stops it"
}

// lockFor locks now, and says why. What is under way stops.
func (r *root) lockFor(why string) cmd {
	a := r.s.app()
	if a == nil || !r.s.data.facts.Unlocked || r.s.story != nil {
		return nil
	}
	for _, w := range r.s.works {
		w.cancel()
	}
	r.s.round++
	r.idle.owed = ""
	r.s.data = data{} // not known: the next picture opens the unlock screen
	r.locked()
	r.unlock.why = fmt.Sprintf("locked: %s (%s)", why, r.wall().Format("15:04"))
	r.say(sayGood, "locked: "+why+"; keys are wiped from memory, connections are closed")
	survey := r.s.survey()
	return func() msg {
		a.Close()
		return survey()
	}
}

// slept is that the machine goes to sleep, or was asleep: the App is closed
// already.
type slept struct{}

// unwatched is that nobody would tell of sleep any more.
type unwatched struct{}

// watchSleep closes the App before the machine sleeps, and then says so.
func watchSleep(ctx context.Context, o Options, send func(tea.Msg)) {
	if o.Sleep == nil {
		return
	}
	err := o.Sleep(ctx, func() {
		o.App.Close()
		send(slept{})
	})
	if err != nil && ctx.Err() == nil {
		send(unwatched{})
	}
}

func (r *root) sleeps() cmd {
	c := r.lockFor("the machine went to sleep")
	if c != nil {
		r.slept = r.wall()
	}
	return c
}

// unwatched corrects what was said: the system bus went away, and that locks
// too, because sleep would not be noticed.
func (r *root) unwatched() {
	if why := "locked: the system bus that tells of sleep went away"; r.unlock.why != "" && r.wall().Sub(r.slept) < time.Second {
		r.unlock.why = fmt.Sprintf("%s (%s)", why, r.slept.Format("15:04"))
		r.say(sayNote, why)
	}
}

// noted is something that a person should know and is no error.
type noted struct{ text string }

func watchNotices(ctx context.Context, c <-chan string) cmd {
	if c == nil {
		return nil
	}
	return func() msg {
		select {
		case <-ctx.Done():
			return nil
		case text := <-c:
			return noted{text}
		}
	}
}

// noticeHead is the title of the page that notices are gathered on.
const noticeHead = "Take note"

func (r *root) noted(m noted) cmd {
	line := marked(r.s.th, []string{plain.Text(m.text)})
	if n := len(r.over); n > 0 {
		if t, ok := r.over[n-1].(*textOver); ok && t.head == noticeHead {
			t.lines = append(t.lines, line...)
			return watchNotices(r.s.ctx, r.notices)
		}
	}
	r.over = append(r.over, newText(r.s, noticeHead, line))
	return watchNotices(r.s.ctx, r.notices)
}

// span is a length of time in a word or two.
func span(d time.Duration) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d.Round(time.Second)/time.Second)
}
