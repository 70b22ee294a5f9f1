package hub
import "fmt"
func (sp *Space) DebugState(room, id string) (out string) {
	sp.order.do(func() {
		a := sp.presence.rooms[room]
		if a == nil { return }
		p := a.people[id]
		if p == nil { return }
		out = fmt.Sprint(p.seats, len(p.nodes), p.away, p.stamp, p.by, a.abroad.wanted, len(a.abroad.pending))
		for _, nb := range p.nodes { out += " " + nb.name }
		for _, nb := range sp.presence.near.byName { out += fmt.Sprintf(" [%+v]", *nb) }
	})
	return
}
