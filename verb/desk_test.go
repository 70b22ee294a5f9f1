package verb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/quota"
	"github.com/tutti-rt/tutti/verb"
)

var verbs = []verb.Verb{verb.Join, verb.Leave, verb.Publish, verb.History, verb.Presence, verb.State}

// use has a caller use a verb in a room.
func use(d *verb.Desk, c verb.Caller, v verb.Verb, room string) error {
	ctx := context.Background()
	var err error
	switch v {
	case verb.Join:
		_, err = d.Join(ctx, c, verb.JoinRequest{Room: room})
	case verb.Leave:
		_, err = d.Leave(ctx, c, verb.JoinRequest{Room: room})
	case verb.Publish:
		_, err = d.Publish(ctx, c, verb.Publication{Room: room, Event: "e"})
	case verb.History:
		_, err = d.History(ctx, c, verb.PageRequest{Room: room})
	case verb.Presence:
		_, err = d.Presence(ctx, c, verb.PresenceRequest{Room: room})
	case verb.State:
		_, err = d.State(ctx, c, verb.StateRequest{Room: room})
	}
	return err
}

// TestAccess goes through every verb, every rule and every kind of caller.
func TestAccess(t *testing.T) {
	sp := space(t)
	rule := func(w verb.Who) verb.Rule {
		return verb.Rule{Pattern: "r:" + w.String(), Join: w, Publish: w, History: w, Presence: w, State: w}
	}
	d := desk(t, verb.Config{
		Rules: []verb.Rule{rule(verb.Nobody), rule(verb.Anyone), rule(verb.Members), rule(verb.Token)},
		Permit: func(_ context.Context, c verb.Caller, v verb.Verb, room string) error {
			if c.Owner == "named" {
				return nil
			}
			return errors.New("secret reason")
		},
	})
	rooms := []string{"r:nobody", "r:anyone", "r:members", "r:token"}
	named := enter(t, sp, "named", rooms...)
	named.Owner = "named"
	opened := enter(t, sp, "opened", rooms...)
	opened.Opens = func(_ verb.Verb, room string) bool { return room == "r:token" }
	callers := map[string]verb.Caller{
		"stranger": enter(t, sp, "stranger"), "member": enter(t, sp, "member", rooms...),
		"named": named, "opened": opened, "over HTTP": {Space: sp},
	}
	for name, c := range callers {
		for _, room := range append(rooms, "other") {
			for _, v := range verbs {
				in := c.Seat != nil && name != "stranger"
				var want verb.Code
				switch {
				case room == "r:nobody" || room == "other":
					want = verb.Forbidden
				case room == "r:members" && !in:
					want = verb.NotMember
				case room == "r:token" && name != "named" && name != "opened":
					want = verb.Forbidden
				case v == verb.State && !in:
					want = verb.NotMember
				case v == verb.Join && c.Seat == nil:
					want = verb.BadRequest
				}
				err := use(d, c, v, room)
				if got := code(err); got != want {
					t.Errorf("%s may %s in %s: %q, want %q", name, v, room, got, want)
				}
				if r := verb.RefusalOf(err); r != nil && strings.Contains(r.Message, "secret") {
					t.Errorf("the refusal tells %s", r.Message)
				}
				if v == verb.Leave && in && err == nil || v == verb.Join && name == "stranger" && err == nil {
					reseat(c, room, name != "stranger")
				}
			}
		}
	}
}

// reseat undoes what a verb did to a caller's rooms.
func reseat(c verb.Caller, room string, in bool) {
	if in {
		c.Seat.Join(room)
	} else {
		c.Seat.Leave(room)
	}
}

func TestConfig(t *testing.T) {
	_, err := verb.New(verb.Config{MaxPage: 5000, Rules: []verb.Rule{
		{Pattern: ""}, {Pattern: "a*b*"}, {Pattern: "x", Events: []string{"connect"}}, {Pattern: "y", Join: 9},
	}})
	for _, want := range []string{"Rules[0]", "Rules[1]", "reserved", "Who(9)", "MaxPage"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %s: %v", want, err)
		}
	}
	d := desk(t, verb.Config{})
	for _, v := range verbs {
		if d.Serves(v) {
			t.Errorf("without rules %s is served", v)
		}
		if err := use(d, enter(t, space(t), "a"), v, "r:a"); code(err) != verb.Forbidden {
			t.Errorf("without rules %s: %v", v, err)
		}
	}
	var who verb.Who
	for _, w := range []verb.Who{verb.Nobody, verb.Anyone, verb.Members, verb.Token} {
		if who.UnmarshalText([]byte(w.String())) != nil || who != w {
			t.Errorf("%v reads as %v", w, who)
		}
	}
	if who.UnmarshalText([]byte("everybody")) == nil {
		t.Error("everybody is somebody")
	}
}

// TestAdmit is asked first.
func TestAdmit(t *testing.T) {
	sp := space(t)
	d := desk(t, verb.Config{Admit: func(_ verb.Caller, v verb.Verb) error {
		return &verb.Refusal{Code: verb.TooManyRequests, Message: "slow down", Retry: time.Second}
	}})
	var r *verb.Refusal
	if err := use(d, verb.Caller{Space: sp}, verb.Publish, "nowhere"); !errors.As(err, &r) || r.Code != verb.TooManyRequests || r.Retry != time.Second {
		t.Errorf("got %v", err)
	}
}

// TestPageLimits: a page is as large as it may be, and its reader goes on where
// it ends, either way.
func TestPageLimits(t *testing.T) {
	sp := space(t)
	d := desk(t, verb.Config{Rules: []verb.Rule{verb.Open("r:*")}, MaxPage: 4, MaxPageBytes: 3000, MaxData: -1})
	c, ctx := verb.Caller{Space: sp}, context.Background()
	start := sp.Head() // where somebody joined before anything was published
	const n = 13
	for i := range n {
		p := verb.Publication{Room: "r:a", Event: "e", Args: args(t, fmt.Sprintf("%d %s", i, strings.Repeat("x", i*300)))}
		if _, err := d.Publish(ctx, c, p); err != nil {
			t.Fatal(err)
		}
	}
	number := func(m verb.Message) (i int) {
		text, _ := m.Data.String()
		fmt.Sscan(text, &i)
		return i
	}
	want := n - 1
	for q := (verb.PageRequest{Room: "r:a", Limit: 1000}); ; {
		page, err := d.History(ctx, c, q)
		if err != nil || len(page.Messages) == 0 || len(page.Messages) > 4 {
			t.Fatalf("before %d: %d messages, %v", want+1, len(page.Messages), err)
		}
		size := 0
		for i := len(page.Messages) - 1; i >= 0; i-- {
			if size += len(page.Messages[i].Data.JSON()); size > 3000 && len(page.Messages) > 1 {
				t.Errorf("a page of %d bytes", size)
			}
			if got := number(page.Messages[i]); got != want {
				t.Fatalf("got message %d, want %d", got, want)
			}
			want--
		}
		if !page.More {
			break
		}
		q.Before = page.Messages[0].Offset
	}
	if want != -1 {
		t.Errorf("the history ends after %d", want+1)
	}
	want = 0
	for q := (verb.PageRequest{Room: "r:a", After: start}); ; {
		page, err := d.History(ctx, c, q)
		if err != nil || len(page.Messages) == 0 {
			t.Fatalf("after %d: %v", want-1, err)
		}
		for _, m := range page.Messages {
			if got := number(m); got != want {
				t.Fatalf("got message %d, want %d", got, want)
			}
			want++
		}
		if !page.More {
			break
		}
		q.After = page.Messages[len(page.Messages)-1].Offset
	}
	if want != n {
		t.Errorf("the history ends after %d", want-1)
	}
}

// TestPageWithin: attachments, and what else may keep a page from being
// written.
func TestPageWithin(t *testing.T) {
	sp := space(t)
	d := desk(t, verb.Config{Rules: []verb.Rule{verb.Open("r:*")}})
	c, ctx := verb.Caller{Space: sp}, context.Background()
	for i := range 9 {
		d.Publish(ctx, c, verb.Publication{Room: "r:a", Event: "e", Args: args(t, i, []byte{1}, []byte{2})})
	}
	page, err := d.History(ctx, c, verb.PageRequest{Room: "r:a"})
	if err != nil || page.More || len(page.Messages) != 9 {
		t.Fatalf("%+v, %v", page, err)
	}
	for most, want := range map[int]int{18: 9, 17: 8, 4: 2, 1: 1, 0: 1} {
		if got := page.Within(most); len(got.Messages) != want || got.More != (want < 9) {
			t.Errorf("within %d: %d messages, want %d", most, len(got.Messages), want)
		}
	}
	lengths := []int{}
	for more := true; more; {
		lengths = append(lengths, len(page.Messages))
		page, more = page.Half()
	}
	if fmt.Sprint(lengths) != "[9 4 2 1]" {
		t.Errorf("halves: %v", lengths)
	}
	text, err := json.Marshal(page)
	if err != nil || !strings.Contains(string(text), `"args":[8,{"$binary":"AQ=="},{"$binary":"Ag=="}]`) {
		t.Errorf("the last is %s, %v", text, err)
	}
}

// TestPublisher: whose ids are whose.
func TestPublisher(t *testing.T) {
	m := func(event string, values ...any) *hub.Message {
		return &hub.Message{Event: event, Args: args(t, values...)}
	}
	base := verb.Publisher("", m("e", 1), "r")
	for rule, other := range map[string]string{
		"another room":  verb.Publisher("", m("e", 1), "r2"),
		"another event": verb.Publisher("", m("e2", 1), "r"),
		"other data":    verb.Publisher("", m("e", 2), "r"),
		"none":          verb.Publisher("", m("e"), "r"),
		"binary":        verb.Publisher("", m("e", []byte{1}), "r"),
		"an owner":      verb.Publisher("o", m("e", 1), "r"),
	} {
		if other == base {
			t.Errorf("%s is taken for the same", rule)
		}
	}
	if verb.Publisher("", m("e", 1), "r") != base {
		t.Error("the same is taken for another's")
	}
	if verb.Publisher("o", m("e", 1), "r") != verb.Publisher("o", m("x", 2), "s") {
		t.Error("an owner's ids depend on the message")
	}
}

// TestStateCosts: what members say of themselves costs the room what coming and
// going does.
func TestStateCosts(t *testing.T) {
	q := quota.New(quota.Config{Connection: quota.Rates{Joins: quota.Rate{PerSecond: 1, Burst: 2}}})
	peer, err := q.Enter("192.0.2.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Leave()
	c := enter(t, space(t), "ann", "r")
	c.Peer = peer
	d := desk(t, verb.Config{Rules: []verb.Rule{verb.Open("r")}})
	for i := range 3 {
		_, err := d.State(t.Context(), c, verb.StateRequest{Room: "r"})
		if refused, ok := errors.AsType[*verb.Refusal](err); (i == 2) != ok || ok && refused.Code != verb.TooManyRequests {
			t.Errorf("state %d: %v", i+1, err)
		}
	}
}
