package chat

import (
	"slices"

	"github.com/tutti-rt/tutti/hub"
)

// A relay passes on to the people what came through a door into a room.
// Everything is under Chat.mu.
type relay struct {
	queue   []Message
	queued  int  // bytes of them
	behind  bool // some did not fit into the queue: they are in the history
	running bool // a goroutine is at it
}

// relayLocked queues a message: Deliver itself must not publish. If too much is
// queued already it is read from the history later, or dropped if there is
// none.
func (r *room) relayLocked(said Message) {
	if r.relay.behind || len(said.Text)+r.relay.queued > maxRelay {
		r.relay.behind = r.chat.kept
	} else {
		r.relay.queue = append(r.relay.queue, said)
		r.relay.queued += len(said.Text)
	}
	r.startRelayLocked()
}

func (r *room) startRelayLocked() {
	if !r.relay.running {
		r.relay.running = true
		// Ends when there is nothing to pass on; Close waits for it.
		r.chat.running.Go(r.runRelay)
	}
}

func (r *room) runRelay() {
	for {
		r.chat.mu.Lock()
		batch, behind := r.relay.queue, r.relay.behind
		r.relay.queue, r.relay.queued, r.relay.behind = nil, 0, false
		if len(batch) == 0 && !behind || r.closed {
			r.relay.running = false
			r.chat.mu.Unlock()
			return
		}
		r.chat.mu.Unlock()
		for _, said := range batch {
			r.passOn(said)
		}
		if behind {
			r.catchUp()
		}
	}
}

// passOn publishes to the screens what came through a door. Its id is that of
// the door's message, so that it is on the screens once, however often it is
// passed on.
func (r *room) passOn(said Message) error {
	m := &hub.Message{Event: string(Said), ID: said.ID, Publisher: "chat-relay:" + r.name}
	_, err := r.chat.publish(m, said, r.screens())
	return err
}

// catchUp passes on what is in the history of the doors and not in that of the
// screens: what did not fit into the queue, or came in when the server was
// killed. An error is that of a store which keeps nothing any more.
func (r *room) catchUp() {
	space := r.chat.ns.Space()
	shown, err := space.History(r.screens(), hub.PageQuery{Limit: hub.MaxPage})
	if err != nil {
		return
	}
	passed := make(map[string]bool, len(shown.Messages))
	for _, m := range shown.Messages {
		passed[m.ID] = m.Publisher == "chat-relay:"+r.name
	}
	heard, err := space.History(r.public(), hub.PageQuery{Limit: hub.MaxPage})
	if err != nil {
		return
	}
	var missing []Message
	for _, m := range heard.Messages {
		said, ok := r.read(m)
		switch {
		case m.Event != string(Said) || !ok || slices.Contains(m.Rooms, r.screens()): // nothing, or not from a door
		case passed[said.ID]:
			missing = nil // they are passed on in order: so were all before
		case len(shown.Messages) == 0 || !shown.More || m.Time.After(shown.Messages[0].Time):
			missing = append(missing, said)
		}
	}
	for _, said := range missing {
		if r.passOn(said) != nil {
			return
		}
	}
}
