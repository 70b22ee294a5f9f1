package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

func disconnectManual() *manual {
	return &manual{
		name: "disconnect", does: "disconnect sockets of a running server",
		synopsis: []string{"[flags] --user USER", "[flags] --socket ID", "[flags] --session ID", "[flags] --room ROOM", "[flags] --address ADDRESS"},
		about: `Ends the sockets of a user, a room or an address, or a single one, and tells how many there were; of a user and an
address event streams and plain WebSockets, too, which are counted as sockets. Clients are told so, and those of Socket.IO do not come back by themselves; to keep a user out, revoke what she came in with. In a cluster all nodes do so; those
that have not answered are named.`,
		options: append([]option{
			{name: "user", value: "USER", does: "All sockets and streams of a user."},
			{name: "socket", value: "ID", does: "One socket."},
			{name: "session", value: "ID", does: "All sockets of one connection."},
			{name: "room", value: "ROOM", does: "All in a room."},
			{name: "address", value: "ADDRESS", does: "All sockets, event streams and plain WebSockets that came from an IP address, or a network, as 203.0.113.0/24."},
			{name: "namespace", value: "NAME", does: "Only those in this namespace. Default: all, for a room /."},
			{name: "reason", value: "TEXT", does: "Why, for the audit log; streams that end are told, too."},
			{name: "revoke", does: "Refuse from now on what was issued to the user up to now, for a day: see docs/auth.md."},
			jsonOption,
		}, operatorOptions...),
		examples: []example{
			{"tutti disconnect --data /var/lib/tutti --user alice --reason 'lost her phone'", "Somebody, from all devices:"},
			{"tutti disconnect --data /var/lib/tutti --address 203.0.113.0/24", "All of a network:"},
		},
		exits: "It is 1, too, if a node of the cluster has not answered: what could be done is done, and it may be tried again.",
		see:   "tutti rooms, docs/auth.md, docs/cli.md",
	}
}

// A disconnection asks for sockets to be ended.
type disconnection struct {
	User      string `json:"user,omitempty"`
	Socket    string `json:"socket,omitempty"`
	Session   string `json:"session,omitempty"`
	Room      string `json:"room,omitempty"`
	Address   string `json:"address,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Revoke    bool   `json:"revoke,omitempty"`
}

// disconnect ends sockets.
func disconnect(ctx context.Context, c call) int {
	m := disconnectManual()
	a, code := m.begin(c)
	if a == nil {
		return code
	}
	named := 0
	for _, who := range []string{"user", "socket", "session", "room", "address"} {
		if a.value(who) != "" {
			named++
		}
	}
	at, err := a.operators()
	if named != 1 {
		err = errors.Join(errors.New("whom? Give one of --user, --socket, --session, --room and --address"), err)
	}
	if a.given("revoke") && (a.value("user") == "" || a.value("namespace") != "") {
		err = errors.Join(errors.New("--revoke belongs to --user, in all namespaces"), err)
	}
	if len(a.rest) > 0 {
		err = errors.Join(fmt.Errorf("%q belongs to no flag", a.rest[0]), err)
	}
	if err != nil {
		return m.misused(c, err)
	}
	ctx, stop := interruptible(ctx, c)
	defer stop()
	var answer struct {
		Sockets int      `json:"sockets"`
		Silent  []string `json:"silent,omitempty"`
	}
	err = at.post(ctx, "/api/disconnect", disconnection{
		a.value("user"), a.value("socket"), a.value("session"), a.value("room"), a.value("address"), a.value("namespace"), a.value("reason"),
		a.given("revoke"),
	}, &answer)
	switch {
	case err != nil:
		return fail(c, m.name, err)
	case a.given("json"):
		err = json.NewEncoder(c.output).Encode(answer)
	default:
		_, err = fmt.Fprintf(c.output, "disconnected %s\n", plural(answer.Sockets, "socket"))
	}
	if err != nil {
		return fail(c, m.name, err)
	}
	if len(answer.Silent) > 0 {
		return fail(c, m.name, fmt.Errorf("no answer from %s: %s; try again", oneOrMore(len(answer.Silent), "node"), list(answer.Silent)))
	}
	return exitOK
}
