package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"text/tabwriter"
)

func roomsManual() *manual {
	return &manual{
		name: "rooms", does: "list the rooms of a running server, and how many are in them",
		synopsis: []string{"[flags] [TEXT]"},
		about: `Lists rooms by name, with how many members each has; TEXT is a part of the name. Every Socket.IO socket
is in a room of its own, which is named by its id.`,
		options: append([]option{
			{name: "namespace", value: "NAME", does: "Only those of this namespace. Default: all."},
			{name: "limit", value: "NUMBER", does: "How many at most. Default: 1000."},
			jsonOption,
		}, operatorOptions...),
		examples: []example{
			{"tutti rooms --data /var/lib/tutti chat:", "The rooms of a server on this machine whose names have chat: in them:"},
			{"TUTTI_ADMIN_KEY=… tutti rooms --admin https://ops.example.com --json", "Those of another machine, for a program:"},
		},
		see: "tutti disconnect, tutti subscribe, docs/cli.md",
	}
}

// A roomEntry is one line of the list.
type roomEntry struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Members   int    `json:"members"`
}

// rooms lists rooms.
func rooms(ctx context.Context, c call) int {
	m := roomsManual()
	a, code := m.begin(c)
	if a == nil {
		return code
	}
	from, err := a.operators()
	limit := 0
	if err == nil {
		limit, err = a.number("limit", 1000)
	}
	if err == nil && len(a.rest) > 1 {
		err = fmt.Errorf("there is one TEXT, not %d", len(a.rest))
	}
	if err != nil {
		return m.misused(c, err)
	}
	ctx, stop := interruptible(ctx, c)
	defer stop()
	query := url.Values{}
	for name, value := range map[string]string{"namespace": a.value("namespace"), "q": firstOf(a.rest)} {
		if value != "" {
			query.Set(name, value)
		}
	}
	list, more, err := listRooms(ctx, from, query, limit)
	if err == nil {
		err = printRooms(c, list, a.given("json"))
	}
	if err != nil {
		return fail(c, m.name, err)
	}
	if more {
		fmt.Fprintf(c.errors, "tutti rooms: there are more than %d: raise --limit, or give a part of the name\n", limit)
	}
	return exitOK
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// listRooms asks for page after page, until it has as many as may be.
func listRooms(ctx context.Context, from *remote, query url.Values, limit int) (list []roomEntry, more bool, err error) {
	for {
		var page struct {
			Rooms []roomEntry `json:"rooms"`
			Next  string      `json:"next"`
		}
		query.Set("limit", strconv.Itoa(min(limit-len(list), 1000)))
		if err := from.get(ctx, "/api/rooms", query, &page); err != nil {
			return nil, false, err
		}
		list = append(list, page.Rooms...)
		if page.Next == "" || len(page.Rooms) == 0 || len(list) >= limit {
			return list[:min(len(list), limit)], page.Next != "" || len(list) > limit, nil
		}
		query.Set("after", page.Next)
	}
}

func printRooms(c call, list []roomEntry, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(c.output)
		for _, r := range list {
			if err := encoder.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(c.errors, "tutti rooms: there are none")
		return err
	}
	table := tabwriter.NewWriter(c.output, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MEMBERS\tNAMESPACE\tROOM")
	for _, r := range list {
		fmt.Fprintf(table, "%7d\t%s\t%s\n", r.Members, visibleText(r.Namespace), visibleText(r.Name))
	}
	return table.Flush()
}
