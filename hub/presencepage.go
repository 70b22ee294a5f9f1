package hub

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
)

// pageOf returns a page that another node began: who asks may be sent to any
// node each time. A node that is gone leaves [ErrOffset], and one begins anew.
func (sp *Space) pageOf(node, room string, q PresenceQuery) (Attendance, error) {
	if sp.hub.node == nil {
		return Attendance{}, ErrOffset
	}
	if _, there := sp.hub.node.engine.Nodes()[node]; !there {
		return Attendance{}, ErrOffset
	}
	body := append(appendString(nil, sp.namespace), byte(askPage))
	body = appendStrings(appendStrings(body, []string{room}), nil)
	body = binary.AppendUvarint(appendString(body, q.After), uint64(q.limit()))
	question := sp.hub.node.questions.put(node, tellQuestion, body)
	defer question.close()
	ctx, cancel := sp.hub.node.patient()
	defer cancel()
	var text []byte
	for part, err := range question.all(ctx) {
		if err != nil {
			return Attendance{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		text = append(text, part.body...)
	}
	var page Attendance
	if len(text) == 0 {
		return page, ErrOffset
	}
	if err := json.Unmarshal(text, &page); err != nil {
		return page, fmt.Errorf("%w: page of %s: %w", ErrUnavailable, node, err)
	}
	return page, nil
}

// answerPage answers with a page that this node began, or nothing.
func (sp *Space) answerPage(who askedBy, to Address, r *recordReader) {
	q := PresenceQuery{After: string(r.bytes()), Limit: int(min(r.uvarint(), MaxPage))}
	var text []byte
	if _, at, _ := strings.Cut(q.After, pageNode); r.err == nil && len(to.Rooms) == 1 && at == sp.hub.Node() {
		if page, err := sp.Presence(to.Rooms[0], q); err == nil {
			text, _ = json.Marshal(page) // states were JSON before
		}
	}
	for len(text) > partSize {
		sp.hub.node.answer(who, text[:partSize], answerMore)
		text = text[partSize:]
	}
	sp.hub.node.answer(who, text, answerLast)
}
