package natshub

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// lower is base32 that looks well in subjects, and has no "_", which stands
// between the parts of a stream's name.
var lower = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// plain are characters that stand for themselves in a token.
func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-'
}

// token makes one token of a subject from a name of any bytes, and another for
// each name: of a long one its hash.
func token(name string) string {
	switch {
	case len(name) > 40:
		return "h" + digest(name)
	case name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }):
		return "n" + name
	}
	return "x" + lower.EncodeToString([]byte(name))
}

// digest names what may be long, or a secret.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return lower.EncodeToString(sum[:20])
}

// clusterNames are the subjects and streams of a cluster. They begin alike.
type clusterNames struct {
	subject string // what subjects begin with
	stream  string // of what is known of the namespaces; others begin with it
}

func newClusterNames(cluster string) clusterNames {
	c := token(cluster)
	return clusterNames{subject: "tutti." + c + ".", stream: "TUTTI_" + c}
}

func (c clusterNames) all() string             { return c.subject + "a" }
func (c clusterNames) node(node string) string { return c.subject + "n." + node }
func (c clusterNames) metas() string           { return c.subject + "m.>" }
func (c clusterNames) charter() string         { return c.subject + "m.cluster" } // no namespace's token

// names are those of a namespace.
type names struct {
	meta     string // the subject of what is known of it
	moved    string // the subject of where its messages were before
	tape     string // what the subjects of its messages begin with; the epoch follows
	live     string // what those begin with on which they are heard
	sessions string
	history  string
	stream   string // what the names of its streams begin with
}

func (c clusterNames) space(namespace string) names {
	n := token(namespace)
	return names{
		meta: c.subject + "m." + n, moved: c.subject + "m." + n + ".moved", tape: c.subject + "t." + n + ".", live: c.subject + "l." + n + ".",
		sessions: c.subject + "s." + n + ".", history: c.subject + "h." + n + ".", stream: c.stream + "_" + n + "_",
	}
}

// The streams of sessions and histories outlive an epoch.
func (n names) sessionStream() string          { return n.stream + "S" }
func (n names) historyStream() string          { return n.stream + "H" }
func (n names) tapeStream(epoch string) string { return n.stream + epoch }

// place is what follows the epoch in the subject of a message: one room has its
// own, several have that of all, so that nobody hears it twice.
func place(rooms []string) string {
	if len(rooms) == 1 {
		return roomPlace(rooms[0])
	}
	return manyPlace
}

const manyPlace = "m"

func roomPlace(room string) string { return "r." + token(room) }
func markPlace(node string) string { return "k." + node }

// idName is what a message's id is remembered by.
func idName(publisher, id string) string {
	return "d" + digest(string(appendString(appendString(nil, publisher), id)))
}
