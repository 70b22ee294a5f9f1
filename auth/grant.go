package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// A Permission is one thing that may be done in a room.
type Permission string

// The permissions. Who may join may leave. Admin lets a backend end the
// connections of others; it is in no "*".
const (
	Join     Permission = "join"
	Publish  Permission = "publish"
	History  Permission = "history"
	Presence Permission = "presence"
	State    Permission = "state"
	Admin    Permission = "admin"
)

// mask is a set of permissions.
type mask uint8

var bits = map[Permission]mask{Join: 1, "leave": 1, Publish: 2, History: 4, Presence: 8, State: 16, Admin: 32}

// everything is what "*" stands for.
const everything = mask(31)

// Permissions returns the names of all permissions.
func Permissions() []Permission { return []Permission{Join, Publish, History, Presence, State, Admin} }

func maskOf(list []Permission) (mask, error) {
	var all mask
	for _, p := range list {
		bit := bits[p]
		if p == "*" {
			bit = everything
		}
		if bit == 0 || p == "leave" {
			return 0, fmt.Errorf("%q is no permission: want join, publish, history, presence, state, admin, or * for all but admin", p)
		}
		all |= bit
	}
	return all, nil
}

// A Grant gives permissions in the rooms of a pattern to those for whom all of
// its conditions hold.
type Grant struct {
	// Rooms is a pattern, in which "*" stands for any characters and "{name}"
	// for a claim of the identity, as in "chat:{org}:*" or "user:{sub}". Who
	// lacks the claim is granted nothing; a list stands for each of its
	// elements. In a claim's value the characters % * : / { } and control
	// characters are written as in a URL (%3A), so that a value is always one
	// piece of the name and never a pattern.
	Rooms string
	// May are the permissions; "*" is all but [Admin].
	May []Permission
	// Issuer, if set, limits the grant to tokens of that issuer.
	Issuer string
	// Key, if set, limits it to the key of that name.
	Key string
	// Claims, if set, limits it to who has claims of these values, or lists with
	// these values in them.
	Claims map[string]string
}

// A rule is a Grant made ready.
type rule struct {
	Grant
	rooms template
	may   mask
	fixed []granted // what it grants if it has no place for a claim
}

func newRule(g Grant) (rule, error) {
	rooms, err := parseTemplate(g.Rooms)
	may, err2 := maskOf(g.May)
	if err2 == nil && may == 0 {
		err2 = errors.New("it grants nothing")
	}
	r := rule{Grant: g, rooms: rooms, may: may}
	if !slices.ContainsFunc(rooms.parts, func(p part) bool { return p.claim }) {
		r.fixed = []granted{{plainPattern(g.Rooms), may}}
	}
	return r, errors.Join(err, err2)
}

// granted is what an identity may do in the rooms of a pattern.
type granted struct {
	rooms pattern
	may   mask
}

func (r *rule) holds(id *Identity) bool {
	if r.Issuer != "" && r.Issuer != id.Issuer || r.Key != "" && (id.Method != ByKey || keySubject+r.Key != id.Subject) {
		return false
	}
	for name, want := range r.Claims {
		if !slices.Contains(claimTexts(id, name), want) {
			return false
		}
	}
	return true
}

func (r *rule) grant(id *Identity, to []granted) []granted {
	if r.fixed != nil {
		return append(to, r.fixed...)
	}
	for _, p := range r.rooms.fill(id) {
		to = append(to, granted{p, r.may})
	}
	return to
}

// Rooms are permissions by pattern as a credential holds them, without places
// for claims:
//
//	{"chat:tea": ["join","publish"], "news:*": "*"}
type Rooms map[string][]Permission

// UnmarshalJSON reads lists, and "*" for all permissions but [Admin].
func (r *Rooms) UnmarshalJSON(text []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	rooms := make(Rooms, len(raw))
	for room, value := range raw {
		var list []Permission
		if string(value) == `"*"` {
			list = []Permission{"*"}
		} else if err := json.Unmarshal(value, &list); err != nil {
			return fmt.Errorf("%q: want a list of permissions, or \"*\"", room)
		}
		if _, err := maskOf(list); err != nil {
			return fmt.Errorf("%q: %w", room, err)
		}
		if room == "" {
			return errors.New("a pattern is empty")
		}
		rooms[room] = list
	}
	*r = rooms
	return nil
}

// maxGrants is how many patterns one identity may have: each is looked at for
// each verb.
const maxGrants = 1000

// roomsOf reads the grants that a credential's claims hold: {"rooms": {…}}.
func roomsOf(claims map[string]any, name string) (Rooms, error) {
	value := claim(claims, name)
	if value == nil {
		return nil, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var held struct {
		Rooms Rooms `json:"rooms"`
	}
	if err := json.Unmarshal(text, &held); err != nil {
		return nil, fmt.Errorf("the claim %q: %w", name, err)
	}
	return held.Rooms, nil
}
