package natshub

import (
	"context"
	"encoding/json"
	"fmt"
)

// A RefusedError says that the server can be reached, and is such that what the
// engine promises would not hold.
type RefusedError struct {
	Setting string // of the server, by its name there
	Reason  string // and what to do about it
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("natshub: the server is refused: %s: %s", e.Setting, e.Reason)
}

// overhead is what a message needs besides its body, at most: rooms and limits.
const overhead = 16 << 10

// check refuses a server that cannot keep what is promised, and warns of one that
// keeps it in part.
func (e *Engine) check(ctx context.Context, l *link, first bool) error {
	if err := e.checkServer(l); err != nil {
		return err
	}
	err := e.api(ctx, l, "INFO", nil, nil)
	switch {
	case isCode(err, codeServerDisabled, codeNotEnabled), isNobody(err) && l.server.alone && e.site.api == ownAPI:
		return &RefusedError{"jetstream", "JetStream is off: write \"jetstream {}\" into the server's configuration, or start it with -js; with accounts, each needs it"}
	case err != nil:
		return fmt.Errorf("look at JetStream: %w", err)
	}
	c, _, err := e.readCharter(ctx, l)
	if err != nil {
		return err
	}
	if err := c.check(e.importing); err != nil {
		return err
	}
	if first {
		e.warn(l)
	}
	return nil
}

// A charter is what holds for a cluster as a whole.
type charter struct {
	// Format is that of all that nodes keep and say to each other. It is raised
	// by nodes of a later version when there are no others any more, or in which
	// these would lose something. 0: the first.
	Format int `json:"format,omitempty"`
	// Import is the id of an import that is not complete.
	Import string `json:"import,omitempty"`
}

// clusterFormat is the last that this version knows.
const clusterFormat = 1

var errImport = &RefusedError{"import", "messages are being moved there from another engine, and not all are: let \"tutti migrate\" complete it first"}

// check refuses what is not for who takes part in an import, or in none.
func (c charter) check(importing string) error {
	switch {
	case c.Import != "" && importing == "":
		return errImport
	case c.Import != "" && c.Import != importing:
		return errOther
	case c.Format > clusterFormat:
		return &RefusedError{fmt.Sprintf("format %d of the cluster", c.Format),
			fmt.Sprintf("its nodes are of a later version of Tutti, and this one knows format %d at most: it would lose what they say", clusterFormat)}
	}
	return nil
}

// readCharter reads it, and its revision, 0 if there is none.
func (e *Engine) readCharter(ctx context.Context, l *link) (c charter, rev uint64, err error) {
	answer, err := l.ask(ctx, e.leaderQuestion(e.names.stream, get{Last: e.names.charter()}), e.cfg.Timeout)
	if err != nil {
		return c, 0, fmt.Errorf("look at the cluster: %w", err)
	}
	s, err := readGetJSON(answer)
	switch {
	case isCode(err, codeStreamMissing) || err == nil && s == nil:
		return c, 0, nil
	case err != nil:
		return c, 0, fmt.Errorf("look at the cluster: %w", err)
	}
	if err := json.Unmarshal(s.data, &c); err != nil {
		return c, 0, &RefusedError{e.names.charter(), "what is written there is not of this version of Tutti"}
	}
	return c, s.seq, nil
}

func (e *Engine) checkServer(l *link) error {
	name := l.nc.ConnectedServerVersion()
	major, minor := version(name)
	most := l.nc.MaxPayload()
	switch {
	case major < 2 || major == 2 && minor < 9:
		return &RefusedError{"version " + name, "nats-server 2.9 or later is needed"}
	case e.site.replicas > 1 && major == 2 && minor < 11:
		return &RefusedError{"version " + name, "replicas need nats-server 2.11 or later: earlier ones may let two nodes have one session at a time"}
	case e.site.replicas > 1 && l.server.alone && e.site.api == ownAPI:
		return &RefusedError{fmt.Sprintf("replicas=%d", e.site.replicas), "the server belongs to no cluster, so it cannot replicate"}
	case !l.nc.HeadersSupported():
		return &RefusedError{"no_header_support", "messages need headers"}
	case e.cfg.MaxMessage > 0 && most < e.cfg.MaxMessage+overhead:
		return &RefusedError{fmt.Sprintf("max_payload %d", most), fmt.Sprintf("messages may have %d bytes, and some more around them: set max_payload to %d at least, or allow less in Tutti's configuration",
			e.cfg.MaxMessage, e.cfg.MaxMessage+overhead)}
	}
	return nil
}

// warn says what may be lost.
func (e *Engine) warn(l *link) {
	_, minor := version(l.nc.ConnectedServerVersion())
	switch {
	case minor < 10:
		e.cfg.Log.Warn("NATS has the disk confirm what it acknowledged every two minutes, and a loss of power may take those; nats-server 2.10 and later have a setting for that",
			"setting", "sync_interval")
	case !e.site.synced:
		e.cfg.Log.Warn("NATS has the disk confirm what it acknowledged every two minutes, and a loss of power may take those; set \"sync_interval: always\" in jetstream {} of every server and say so with ?sync=always",
			"setting", "sync_interval")
	}
	if most := l.nc.MaxPayload(); e.cfg.MaxPacket > 0 && most < e.cfg.MaxPacket+overhead {
		e.cfg.Log.Warn(fmt.Sprintf("an event with its binary values may have %d bytes, and is refused if it is larger than the server's max_payload", e.cfg.MaxPacket),
			"setting", fmt.Sprintf("max_payload %d", most))
	}
	if !l.server.alone && e.site.replicas == 1 && e.site.api == ownAPI {
		e.cfg.Log.Warn("streams are kept by one server of the cluster, without which nothing goes; say ?replicas=3", "setting", "replicas=1")
	}
}
