package config

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// envPrefix is in front of all our environment variables.
const envPrefix = "TUTTI_"

// A field is one setting: all of it is derived from a field of Settings and its
// tag.
type field struct {
	name        string // in a file: "log.level"
	placeholder string // "" for a switch
	help        string
	index       []int
	typ         reflect.Type
	live        bool // a running server can put it to use
}

func (f field) flag() string {
	if f.name == "admin.listen" {
		return "--admin" // as commands call it
	}
	return "--" + strings.ReplaceAll(f.name, ".", "-")
}

func (f field) env() string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(f.name))
}

// isSwitch says whether the flag needs no value.
func (f field) isSwitch() bool { return f.typ.Kind() == reflect.Bool }

func (f field) isList() bool { return f.typ.Kind() == reflect.Slice }

// isWorded says whether it is a list of what is written in words.
func (f field) isWorded() bool {
	return f.isList() && reflect.PointerTo(f.typ.Elem()).Implements(reflect.TypeFor[worded]())
}

// isSecret says whether a value must not be shown.
func (f field) isSecret() bool {
	return f.typ == reflect.TypeFor[[]Key]() || f.typ == reflect.TypeFor[[]TokenIssuer]() || f.typ == reflect.TypeFor[[]HashedKey]() ||
		f.typ == reflect.TypeFor[Secret]()
}

// of is the field's value in s.
func (f field) of(s *Settings) reflect.Value { return reflect.ValueOf(s).Elem().FieldByIndex(f.index) }

// texts are the field's values in s as they would be written, without secrets:
// one, or one per element of a list.
func (f field) texts(s *Settings) []string {
	v := f.of(s)
	if !f.isList() {
		return []string{withoutPassword(text(v))}
	}
	var all []string
	for i := range v.Len() {
		all = append(all, withoutPassword(text(v.Index(i))))
	}
	return all
}

// userinfo is who a URL says one is: a name and a password, or a token.
var userinfo = regexp.MustCompile(`://(?:([^/?#\s@:]*):)?[^/?#\s@]*@`)

// withoutPassword hides the passwords of URLs in a text, and what may be a token.
func withoutPassword(text string) string {
	return userinfo.ReplaceAllStringFunc(text, func(user string) string {
		name, _, ok := strings.Cut(strings.TrimPrefix(user, "://"), ":")
		if !ok {
			return "://" + hidden + "@"
		}
		return "://" + name + ":" + hidden + "@"
	})
}

// fields returns all settings in the order of the struct.
func fields() []field { return fieldsOf(reflect.TypeFor[Settings](), "", nil) }

func fieldsOf(t reflect.Type, prefix string, index []int) []field {
	var all []field
	for i := range t.NumField() {
		sf := t.Field(i)
		head, help, _ := strings.Cut(sf.Tag.Get("set"), ": ")
		name, placeholder, _ := strings.Cut(head, " ")
		at := append(index[:len(index):len(index)], i)
		if sf.Type.Kind() == reflect.Struct && !reflect.PointerTo(sf.Type).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			all = append(all, fieldsOf(sf.Type, prefix+name+".", at)...)
			continue
		}
		if name == "" || help == "" {
			panic(fmt.Sprintf("config: field %s has no tag", sf.Name))
		}
		all = append(all, field{prefix + name, placeholder, help, at, sf.Type, sf.Tag.Get("live") == "yes"})
	}
	return all
}

// Closest returns the known name that a mistyped one is likely to mean, "" if
// none is near. Dashes, dots, underscores and the prefix of variables don't
// count.
func Closest(name string, known []string) string {
	name = plainName(name)
	best, distance := "", max(1, len(name)/3)+1
	for _, k := range known {
		if d := editDistance(name, plainName(k)); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// plainName makes the three ways to write a name alike.
func plainName(s string) string {
	s = strings.TrimPrefix(strings.ToLower(strings.TrimLeft(s, "-")), strings.ToLower(envPrefix))
	return strings.NewReplacer("_", "", "-", "", ".", "").Replace(s)
}

// editDistance counts the letters to add, drop, change or swap with their
// neighbour to get from a to b.
func editDistance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
