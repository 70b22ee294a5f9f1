package metrics_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/door"
	"github.com/tutti-rt/tutti/engineio"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/internal/leak"
	"github.com/tutti-rt/tutti/internal/siotest"
	"github.com/tutti-rt/tutti/metrics"
)

// TestMain fails if a goroutine stays behind.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// scrape reads the page as Prometheus does: from a series, such as
// tutti_sessions_closed_total{reason="ping timeout"}, to its value.
func scrape(t *testing.T, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("got %d: %s", w.Code, w.Body)
	}
	values := make(map[string]float64)
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "tutti_") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
		if err != nil {
			t.Fatal(err)
		}
		values[line[:i]] = v
	}
	return values
}

// counted fails unless exactly the series given are not zero.
func counted(t *testing.T, m *metrics.Metrics, want map[string]float64) {
	t.Helper()
	got := scrape(t, m)
	for series, v := range got {
		if v != want[series] && !strings.Contains(series, "_seconds") { // how long it took depends
			t.Errorf("%s is %v, want %v", series, v, want[series])
		}
	}
	for series := range want {
		if _, ok := got[series]; !ok {
			t.Errorf("there is no %s", series)
		}
	}
}

// TestServer counts one session from its beginning to its end.
func TestServer(t *testing.T) {
	m := metrics.New()
	srv, err := tutti.New(tutti.Config{
		Engine:        engineio.Config{Trace: m.Engine()},
		Hub:           hub.Config{Trace: m.Hub()},
		Trace:         m.Server(),
		MaxNamespaces: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	network := siotest.Serve(srv)
	defer network.Close()
	ns := srv.Namespace("/")
	const Add tutti.Call[int, int] = "add"
	Add.Handle(ns, func(_ context.Context, s *tutti.Socket, n int) (int, error) {
		if err := s.Join("adders"); err != nil {
			return 0, err
		}
		_, err := ns.To("adders", "others").Emit("added", n)
		return n + 1, err
	})

	c, err := network.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connect("/nowhere", ""); err == nil {
		t.Fatal("a namespace that does not exist let a socket in")
	}
	if _, err := c.Connect("/", ""); err != nil {
		t.Fatal(err)
	}
	c.Send(`20["add",1]`)
	for _, want := range []string{`2["added",1]`, `30[2]`} {
		if got, err := c.Receive(); got != want || err != nil {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	if got := scrape(t, m); got["tutti_sessions"] != 1 || got["tutti_sockets"] != 1 || got["tutti_rooms"] != 2 {
		t.Errorf("got %v sessions, %v sockets, %v rooms, want 1, 1, and 2 with the socket's own",
			got["tutti_sessions"], got["tutti_sockets"], got["tutti_rooms"])
	}
	w, err := network.HTTP().Get("http://example.test/socket.io/?EIO=4&transport=pigeon")
	if err != nil {
		t.Fatal(err)
	}
	w.Body.Close()
	go func() { c.Receive(); c.Close() }() // until the server says goodbye
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	got := scrape(t, m)
	// How many bytes there are depends on the ids.
	for _, series := range []string{"tutti_received_bytes_total", "tutti_sent_bytes_total"} {
		if got[series] < 10 {
			t.Errorf("%s is %v", series, got[series])
		}
	}
	counted(t, m, map[string]float64{
		`tutti_received_bytes_total`:                                      got[`tutti_received_bytes_total`],
		`tutti_sent_bytes_total`:                                          got[`tutti_sent_bytes_total`],
		`tutti_sessions_opened_total{transport="websocket"}`:              1,
		`tutti_sessions_closed_total{reason="server shutting down"}`:      1,
		`tutti_packets_received_total{type="message"}`:                    3, // CONNECT, CONNECT, EVENT
		`tutti_packets_sent_total{type="message"}`:                        4, // CONNECT_ERROR, CONNECT, EVENT, ACK
		`tutti_requests_refused_total{code="transport unknown"}`:          1,
		`tutti_sockets_connected_total`:                                   1,
		`tutti_sockets_disconnected_total{reason="server shutting down"}`: 1,
		`tutti_sockets_refused_total{cause="refusal"}`:                    1,
		`tutti_events_received_total`:                                     1,
		`tutti_events_sent_total`:                                         1,
		`tutti_messages_published_total`:                                  1,
		`tutti_deliveries_total`:                                          1,
	})
}

// TestDoors counts a stream and what a door publishes and refuses.
func TestDoors(t *testing.T) {
	m := metrics.New()
	space := hub.New(hub.Config{Trace: m.Hub()}).Space("/")
	anyone := door.Access{Rooms: []string{"*"}}
	events, err := door.Events(space, door.EventsConfig{Listen: anyone, Trace: m.Door("events")})
	if err != nil {
		t.Fatal(err)
	}
	publish, err := door.Publish(space, door.PublishConfig{Publish: anyone, MaxBody: 100, Trace: m.Door("publish")})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/events", events)
	mux.Handle("/api/publish", publish)
	network := siotest.Serve(mux)
	defer network.Close()

	stream, err := network.HTTP().Get("http://example.test/events?room=a")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if got := scrape(t, m)[`tutti_streams{door="events"}`]; got != 1 {
		t.Errorf("got %v streams, want 1", got)
	}
	for _, body := range []string{
		`{"room":"a","event":"news","data":1}`,
		`{"room":"a"}`,
		`{"room":"a","event":"news","data":"` + strings.Repeat("x", 100) + `"}`,
	} {
		w, err := network.HTTP().Post("http://example.test/api/publish", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		w.Body.Close()
	}
	if err := errors.Join(events.Shutdown(t.Context()), publish.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	counted(t, m, map[string]float64{
		`tutti_streams_opened_total{door="events"}`:                               1,
		`tutti_streams_closed_total{door="events",reason="server shutting down"}`: 1,
		`tutti_door_messages_published_total{door="publish"}`:                     1,
		`tutti_door_requests_refused_total{code="bad_message",door="publish"}`:    1,
		`tutti_door_requests_refused_total{code="too_large",door="publish"}`:      1,
		`tutti_limit_hits_total{limit="body",stage="door"}`:                       1,
		`tutti_messages_published_total`:                                          1,
		`tutti_deliveries_total`:                                                  1,
	})
}

// TestBounded: what is on no list makes no series.
func TestBounded(t *testing.T) {
	m := metrics.New()
	before := scrape(t, m)
	for i := range 100 {
		odd := "odd " + strconv.Itoa(i)
		m.Engine().SessionClosed(nil, engineio.Reason(odd), nil)
		m.Engine().Refused(nil, engineio.Code(100+i))
		m.Engine().PacketReceived(byte(100+i), 1)
		m.Engine().PacketSent(byte(i%8), 1)
		m.Server().SocketDisconnected(nil, tutti.Reason(odd))
		m.Server().SocketRefused(odd, errors.New(odd))
		m.Hub().RoomCreated(odd, odd)
		m.Door(odd).Closed(door.Reason(odd))
		m.Door(odd).Refused(i, odd)
		for _, hit := range []func(string){m.Engine().LimitHit, m.Server().LimitHit, m.Hub().LimitHit, m.Door(odd).LimitHit} {
			hit(odd)
		}
	}
	after := scrape(t, m)
	if len(after) != len(before) {
		t.Errorf("there are %d series, want %d as in the beginning", len(after), len(before))
	}
	for _, series := range []string{
		`tutti_sessions_closed_total{reason="other"}`,
		`tutti_requests_refused_total{code="other"}`,
		`tutti_packets_received_total{type="other"}`,
		`tutti_packets_sent_total{type="other"}`,
		`tutti_sockets_disconnected_total{reason="other"}`,
		`tutti_sockets_refused_total{cause="error"}`,
		`tutti_streams_closed_total{door="other",reason="other"}`,
		`tutti_door_requests_refused_total{code="other",door="other"}`,
		`tutti_limit_hits_total{limit="other",stage="engine"}`,
		`tutti_limit_hits_total{limit="other",stage="server"}`,
		`tutti_limit_hits_total{limit="other",stage="hub"}`,
		`tutti_limit_hits_total{limit="other",stage="door"}`,
	} {
		if after[series] != 100 {
			t.Errorf("%s is %v, want 100", series, after[series])
		}
	}
	for series, v := range before {
		if v != 0 {
			t.Errorf("%s begins with %v", series, v)
		}
	}
}

// TestCost: what is called for every packet allocates nothing.
func TestCost(t *testing.T) {
	m := metrics.New()
	engine, server, hubs := m.Engine(), m.Server(), m.Hub()
	if n := testing.AllocsPerRun(100, func() {
		engine.PacketReceived('4', 10)
		engine.PacketSent('4', 10)
		server.EventReceived(nil, nil)
		server.EventSent(nil, nil)
		hubs.Published(nil, 3)
		engine.LimitHit("MaxQueue")
	}); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// TestRegistry: an application may have a registry of its own.
func TestRegistry(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := metrics.New()
	if err := reg.Register(m); err != nil {
		t.Fatal(err)
	}
	if err := reg.Register(m); err == nil {
		t.Error("registered twice")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	if !slices.Contains(names, "tutti_sessions") {
		t.Errorf("got %v", names)
	}
}

// lists are where the stages write down what the metrics have lists of. Both
// the server and the doors pass on what the verbs refuse.
var lists = []struct{ series, dirs, pattern string }{
	{`tutti_limit_hits_total{limit="%",stage="engine"}`, "engineio", `trace\.limit\("([^"]+)"`},
	{`tutti_limit_hits_total{limit="%",stage="server"}`, ". verb", `(?:limitHit|tooLarge)\("([^"]+)"`},
	{`tutti_limit_hits_total{limit="%",stage="hub"}`, "hub", `limitHit\("([^"]+)"\)`},
	{`tutti_limit_hits_total{limit="%",stage="auth"}`, "auth", `(?:LimitHit|onLimit)\("([^"]+)"\)`},
	{`tutti_limit_hits_total{limit="%",stage="door"}`, "door verb", `(?:limitHit\(|tooLarge\(|limit: |limit = )"([^"]+)"`},
	{`tutti_door_requests_refused_total{code="%",door="publish"}`, "door verb auth", `(?:code: |badRequest\(|Code = )"([^"]+)"`},
}

// TestLists: the lists are those of the code. A limit that nobody counts is
// found out when it is too late.
func TestLists(t *testing.T) {
	got := scrape(t, metrics.New())
	for _, l := range lists {
		var files []string
		for dir := range strings.FieldsSeq(l.dirs) {
			here, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, here...)
		}
		want := map[string]bool{strings.Replace(l.series, "%", "other", 1): true}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, found := range regexp.MustCompile(l.pattern).FindAllStringSubmatch(string(text), -1) {
				want[strings.Replace(l.series, "%", found[1], 1)] = true
			}
		}
		if len(want) < 3 {
			t.Errorf("nothing in %s looks like %s", l.dirs, l.pattern)
		}
		ours := regexp.MustCompile("^" + strings.Replace(regexp.QuoteMeta(l.series), "%", "[^\"]+", 1) + "$")
		for series := range got {
			if ours.MatchString(series) && !want[series] {
				t.Errorf("%s is on the list, but nothing in %s reports it", series, l.dirs)
			}
		}
		for series := range want {
			if _, ok := got[series]; !ok {
				t.Errorf("%s is on no list, but %s reports it", series, l.dirs)
			}
		}
	}
}

var (
	tableRow = regexp.MustCompile("(?m)^\\| `(tutti_\\w+)` \\| (\\w+) \\|([^|]*)\\|")
	labels   = regexp.MustCompile(`(\w+)="`)
	typeLine = regexp.MustCompile(`(?m)^# TYPE (tutti_\w+) (\w+)$`)
)

// TestTable: docs/metrics.md lists the metrics there are.
func TestTable(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	for _, row := range tableRow.FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = row[2] + " " + strings.ReplaceAll(strings.TrimSpace(row[3]), "`", "")
	}

	w := httptest.NewRecorder()
	metrics.New().Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	page := w.Body.String()
	for _, line := range typeLine.FindAllStringSubmatch(page, -1) {
		name := line[1]
		sample := regexp.MustCompile(`(?m)^` + name + `(\{.*\})? `).FindString(page)
		var names []string
		for _, l := range labels.FindAllStringSubmatch(sample, -1) {
			names = append(names, l[1])
		}
		want := strings.TrimSpace(line[2] + " " + strings.Join(names, ", "))
		if got := strings.TrimSpace(documented[name]); got != want {
			t.Errorf("%s: docs/metrics.md says %q, want %q", name, got, want)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/metrics.md lists %s, which does not exist", name)
	}
}
