package tutti_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/tutti-rt/tutti"
	"github.com/tutti-rt/tutti/hub"
	"github.com/tutti-rt/tutti/hub/hubtest"
)

// startNode starts a server of a cluster on a port of its own, behind the gate as
// the program does, and returns its address.
func startNode(t *testing.T, cluster *hubtest.Cluster) (*tutti.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	srv, err := tutti.New(tutti.Config{Log: slog.New(slog.DiscardHandler), Advertise: "http://" + address, Hub: hub.Config{Engine: cluster.Node()}})
	if err != nil {
		t.Fatal(err)
	}
	srv.Namespace("/").Handle("where", func(_ context.Context, s *tutti.Socket, m *tutti.Message) error {
		return m.Reply(address, s.Handshake().Remote)
	})
	if err := srv.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	server, done := &http.Server{Handler: srv}, make(chan struct{})
	go func() { // ends with Close
		defer close(done)
		tutti.Serve(server, l)
	}()
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		server.Close()
		<-done
	})
	return srv, address
}

// request is one of a client that polls.
func request(t *testing.T, client *http.Client, address, query, body string) string {
	t.Helper()
	url := "http://" + address + "/socket.io/?EIO=4&transport=polling" + query
	var (
		resp *http.Response
		err  error
	)
	if body == "" {
		resp, err = client.Get(url)
	} else {
		resp, err = client.Post(url, "text/plain", strings.NewReader(body))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %d %s, %v", query, resp.StatusCode, text, err)
	}
	return string(text)
}

// TestNoStickySessions: a client's polls and its upgrade reach one node after the
// other, and it is served as if it had come to the right one each time.
func TestNoStickySessions(t *testing.T) {
	cluster := hubtest.NewCluster(time.Minute)
	one, first := startNode(t, cluster)
	two, second := startNode(t, cluster)
	for len(one.Hub().Nodes()) == 0 || len(two.Hub().Nodes()) == 0 {
		request(t, http.DefaultClient, first, "", "") // takes a moment
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	defer http.DefaultClient.CloseIdleConnections()
	open := request(t, client, first, "", "")
	_, sid, _ := strings.Cut(open, `"sid":"`)
	sid, _, _ = strings.Cut(sid, `"`)
	if !strings.HasSuffix(sid, "."+one.Hub().Node()) {
		t.Fatalf("the session %q does not name its node %q", sid, one.Hub().Node())
	}
	query := "&sid=" + sid
	request(t, client, second, query, "40")
	if got := request(t, client, second, query, ""); !strings.HasPrefix(got, "40{") {
		t.Fatalf("CONNECT by another node: %s", got)
	}
	answer := fmt.Sprintf(`["%s","127.0.0.1:`, first)
	request(t, client, second, query, `420["where"]`)
	if got := request(t, client, first, query, ""); !strings.HasPrefix(got, "430"+answer) {
		t.Errorf("got %s, want 430%s…", got, answer)
	}

	conn, _, _, err := ws.Dial(t.Context(), "ws://"+second+"/socket.io/?EIO=4&transport=websocket"+query)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	say := func(packet, want string) {
		t.Helper()
		if err := wsutil.WriteClientText(conn, []byte(packet)); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			return
		}
		if got, err := wsutil.ReadServerText(conn); err != nil || !strings.HasPrefix(string(got), want) {
			t.Fatalf("%s: got %s, %v; want %s", packet, got, err, want)
		}
	}
	say("2probe", "3probe")
	say("5", "")
	say(`421["where"]`, "431"+answer)
	if sockets, err := two.Namespace("/").To().Count(t.Context()); sockets != 1 || err != nil {
		t.Errorf("%d sockets, %v", sockets, err)
	}

	// The node that passes on goes: so does the connection, and not the session's node.
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := two.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if got, err := wsutil.ReadServerText(conn); err == nil {
		t.Errorf("after the end of the node in between: %s", got)
	}
}
