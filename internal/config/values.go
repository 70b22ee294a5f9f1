package config

import (
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// None is the Bytes or Count of a limit that is not there.
const None = -1

// Bytes is a size, written 64KiB, 1MB, 1000 or none.
type Bytes int64

// Count is a number of things, written 100 or none.
type Count int64

// Level is a level of the log, written debug, info, warn or error.
type Level slog.Level

// Folder is a path. In a file it is relative to the file's own folder.
type Folder string

// A Key opens rooms to those who show its secret. It is written "name secret
// pattern …", and printed without the secret.
type Key struct {
	Name, Secret string
	Rooms        []string
}

// shortestSecret is what can't be guessed however often one may try, if it is
// random.
const shortestSecret = 16

// UnmarshalText reads a key. Its errors don't repeat the text.
func (k *Key) UnmarshalText(text []byte) error {
	parts := strings.Fields(string(text))
	if len(parts) < 3 {
		return errors.New("want a name, a secret and patterns of rooms, with spaces between")
	}
	if len(parts[1]) < shortestSecret {
		return fmt.Errorf("the secret of %q has %d characters: want at least %d", parts[0], len(parts[1]), shortestSecret)
	}
	*k = Key{parts[0], parts[1], parts[2:]}
	return nil
}

// MarshalText writes a key with its secret hidden, so that it can't be read
// back.
func (k Key) MarshalText() ([]byte, error) {
	return []byte(k.Name + " (hidden) " + strings.Join(k.Rooms, " ")), nil
}

// An AdminKey lets an operator in. It is written "name role hash".
type AdminKey struct{ Name, Role, Hash string }

// UnmarshalText reads a key.
func (k *AdminKey) UnmarshalText(text []byte) error {
	parts := strings.Fields(string(text))
	if len(parts) != 3 {
		return errors.New("want a name, view or operate, and the hash of the key, with spaces between")
	}
	if parts[1] != "view" && parts[1] != "operate" {
		return fmt.Errorf("the role of %q is %q: want view or operate", parts[0], parts[1])
	}
	digest, ok := strings.CutPrefix(parts[2], "sha256:")
	if raw, err := hex.DecodeString(digest); !ok || err != nil || len(raw) != 32 {
		return fmt.Errorf("the hash of %q: want sha256: and 64 hex digits, never the key itself", parts[0])
	}
	*k = AdminKey{parts[0], parts[1], parts[2]}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (k AdminKey) MarshalText() ([]byte, error) {
	return []byte(k.Name + " " + k.Role + " " + k.Hash), nil
}

// units, longest suffix first within a kind. KB is 1000 and KiB 1024.
var units = []struct {
	suffix string
	bytes  int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// UnmarshalText reads what MarshalText writes, in any case.
func (b *Bytes) UnmarshalText(text []byte) error {
	wrong := errors.New("want a size such as 64KiB or 1MB, or none")
	s := strings.TrimSpace(string(text))
	if strings.EqualFold(s, "none") {
		*b = None
		return nil
	}
	factor := int64(1)
	for _, u := range units {
		if n := len(s) - len(u.suffix); n > 0 && strings.EqualFold(s[n:], u.suffix) {
			s, factor = strings.TrimSpace(s[:n]), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > (1<<40)/factor {
		return wrong
	}
	*b = Bytes(n * factor)
	return nil
}

// MarshalText writes b in the largest unit that needs no fraction.
func (b Bytes) MarshalText() ([]byte, error) {
	if b < 0 {
		return []byte("none"), nil
	}
	for _, u := range units {
		if n := int64(b); n > 0 && n%u.bytes == 0 && u.bytes > 1 {
			return fmt.Appendf(nil, "%d%s", n/u.bytes, u.suffix), nil
		}
	}
	return strconv.AppendInt(nil, int64(b), 10), nil
}

// UnmarshalText reads what MarshalText writes.
func (c *Count) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if strings.EqualFold(s, "none") {
		*c = None
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return errors.New("want a whole number, or none")
	}
	*c = Count(n)
	return nil
}

// MarshalText writes c as a number, or none.
func (c Count) MarshalText() ([]byte, error) {
	if c < 0 {
		return []byte("none"), nil
	}
	return strconv.AppendInt(nil, int64(c), 10), nil
}

// UnmarshalText reads one of the four names.
func (l *Level) UnmarshalText(text []byte) error {
	for _, known := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(known.String(), string(text)) {
			*l = Level(known)
			return nil
		}
	}
	return errors.New("want debug, info, warn or error")
}

// MarshalText writes the level's name.
func (l Level) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(slog.Level(l).String())), nil
}

// set makes v, which is not a list, what text says. The error says what would
// be right.
func set(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Interface().(type) {
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil || text != "true" && text != "false" {
			return errors.New("want true or false")
		}
		v.SetBool(b)
		return nil
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("want a duration such as 25s or 1m30s")
		}
		v.SetInt(int64(d))
		return nil
	}
	if v.Kind() != reflect.String {
		panic(fmt.Sprintf("config: no way to read a %v", v.Type()))
	}
	v.SetString(text)
	return nil
}

// text is what set reads back.
func text(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		b, err := m.MarshalText()
		if err != nil {
			panic(err) // ours never do
		}
		return string(b)
	}
	if d, ok := v.Interface().(time.Duration); ok {
		return shortDuration(d)
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration is d without the zero parts that Duration.String leaves: 1m,
// not 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
