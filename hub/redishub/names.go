package redishub

import (
	"fmt"
	"strings"
)

// names are the keys and channels of a namespace, which cannot be those of
// another: what others may choose stands last, or is escaped.
type names struct {
	meta string // a key; others begin like it
	all  string // the channel that every node with the namespace hears
	room string // what the channels of rooms begin with
}

// clusterNames are those of the cluster.
type clusterNames struct {
	meta string
	all  string
	node string // what the channels of nodes begin with
	base string
}

// newClusterNames returns the names in a database. Channels know no databases.
func newClusterNames(cluster string, db int) clusterNames {
	base := fmt.Sprintf("tutti:%d:%s:", db, cluster)
	return clusterNames{meta: "{tutti:" + cluster + "}:m", all: base + "c", node: base + "n:", base: base}
}

// format is the key of the cluster's format, which is there if it is not the first.
func (c clusterNames) format() string { return strings.TrimSuffix(c.meta, "m") + "format" }

// importing is the key that is there while the cluster is being filled: the id of
// the import.
func (c clusterNames) importing() string { return strings.TrimSuffix(c.meta, "m") + "import" }

func (c clusterNames) space(cluster, namespace string) names {
	n := escape(namespace)
	return names{meta: "{tutti:" + cluster + ":" + n + "}:m", all: c.base + "a:" + n, room: c.base + "r:" + n + ":"}
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < 0x80 && plain(rune(c)) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// dedupName is what an id is remembered by.
func dedupName(publisher, id string) string {
	if id == "" {
		return ""
	}
	return fmt.Sprintf("%d:%s:%s", len(publisher), publisher, id)
}
