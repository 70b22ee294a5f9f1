package hostile

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// A clerk makes tokens.
type clerk struct{ secret string }

func newClerk(t *testing.T) clerk {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(strings.Repeat("s3cret-", 8)), 0o600); err != nil {
		t.Fatal(err)
	}
	return clerk{file}
}

// token is one of a user, who may do what is said in rooms, as in
// 'closed:*=join,publish'.
func (c clerk) token(t *testing.T, user string, may ...string) string {
	t.Helper()
	args := []string{"token", "mint", "--secret-file", c.secret, "--sub", user}
	for _, m := range may {
		args = append(args, "--may", m)
	}
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// enter connects to the main namespace with credentials, and returns the first
// answer to that.
func (s *server) enter(t *testing.T, auth string) (w *wire, answer string) {
	t.Helper()
	w = must(t)(s.engine(""))
	w.text(t, "40"+auth)
	for {
		if answer = w.until(t, "4"); strings.HasPrefix(answer, "40{") || strings.HasPrefix(answer, "44{") {
			return w, answer
		}
	}
}

// between returns what stands between two texts.
func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}

const everything = "closed:*=join,publish,history,presence"

// TestUsers: what those may have who show a token, and what becomes of who loses
// a right.
func TestUsers(t *testing.T) {
	const ofUser = 8
	c := newClerk(t)
	s := start(t, nil, append(subject(t), "--auth-anonymous=true", "--auth-token=* secret-file="+c.secret, fmt.Sprintf("--limit-user=%d", ofUser), "--ping-interval=2s", "--ping-timeout=5s", "--timeout-connect=10s")...)
	survive(t, s, "Users", []item{
		times(50, item{"sessions of one user", fmt.Sprintf("{n} sockets of one user from as many addresses, of which %d may be", ofUser), "connect_error: too_many_requests, and when to come again", []string{hit("user sessions")}, nil}, func(t *testing.T, s *server, n int) {
			token := c.token(t, "many")
			in := 0
			for range n {
				w, answer := s.enter(t, fmt.Sprintf(`{"token":%q}`, token))
				defer w.Close()
				if strings.HasPrefix(answer, "40{") {
					in++
				} else if !strings.Contains(answer, tooMany) || !strings.Contains(answer, `"retry":`) {
					t.Errorf("refused with %s", answer)
				}
			}
			if in != ofUser {
				t.Errorf("%d are let in", in)
			}
		}),
		times(ofUser, item{"publish flood of one user", "{n} connections of one user from as many addresses publish, each into a room of its own", "refused: too many messages published of this user, and when to come again", []string{hit("user publishes")}, nil}, func(t *testing.T, s *server, n int) {
			token := c.token(t, "busy")
			var refused atomic.Bool
			crowd(n, func(i int) {
				w := must(t)(s.engine(fmt.Sprintf("X-Forwarded-For: 203.0.113.%d\r\n", i+1)))
				defer w.Close()
				w.text(t, fmt.Sprintf(`40{"token":%q}`, token))
				w.until(t, "40{")
				if w.calls(399, "of this user", func(j int) string {
					return fmt.Sprintf(`42%d["publish",{"room":"room:busy%d","event":"e"}]`, j, i)
				}) {
					refused.Store(true)
				}
			})
			if !refused.Load() {
				t.Error("never refused")
			}
		}),
		{"the private id of another user", "a client that comes back with its own token, and the private id and offset of somebody else; and without a token", "let in as somebody new; the other can still come back", []string{`tutti_returns_total{outcome="foreign session"}`}, func(t *testing.T, s *server) {
			ann, ben := c.token(t, "ann", everything), c.token(t, "ben", everything)
			w, answer := s.enter(t, fmt.Sprintf(`{"token":%q}`, ann))
			pid, id := between(answer, `"pid":"`, `"`), between(answer, `"sid":"`, `"`)
			offset := between(w.call(t, 1, "join", `{"room":"closed:a"}`), `"offset":"`, `"`)
			w.Close()
			for _, auth := range []string{fmt.Sprintf(`{"token":%q,"pid":%q,"offset":%q}`, ben, pid, offset), fmt.Sprintf(`{"pid":%q,"offset":%q}`, pid, offset)} {
				w, answer := s.enter(t, auth)
				if strings.Contains(answer, pid) || strings.Contains(answer, id) || !strings.HasPrefix(answer, "40{") {
					t.Errorf("answered %s", answer)
				}
				w.until(t, `42["unrecovered",`)
				w.Close()
			}
			w, answer = s.enter(t, fmt.Sprintf(`{"token":%q,"pid":%q,"offset":%q}`, ann, pid, offset))
			if !strings.Contains(answer, id) {
				t.Errorf("who had the session is answered %s", answer)
			}
			w.Close()
		}},
		{"back without a right", "a client that comes back to its session with a token that does not let it into a room any more, while something is published there", "recovered, and told of the room that it has lost; it hears nothing of it", []string{`tutti_returns_total{outcome="recovered"}`}, func(t *testing.T, s *server) {
			w, answer := s.enter(t, fmt.Sprintf(`{"token":%q}`, c.token(t, "carl", everything)))
			pid, id := between(answer, `"pid":"`, `"`), between(answer, `"sid":"`, `"`)
			w.call(t, 1, "join", `{"room":"closed:secret"}`)
			offset := between(w.call(t, 2, "join", `{"room":"room:all"}`), `"offset":"`, `"`)
			w.Close()
			other, _ := s.enter(t, fmt.Sprintf(`{"token":%q}`, c.token(t, "dora", everything)))
			other.call(t, 1, "publish", `{"room":"closed:secret","event":"hidden","data":1}`)
			other.call(t, 2, "publish", `{"room":"room:all","event":"seen","data":1}`)
			w, answer = s.enter(t, fmt.Sprintf(`{"token":%q,"pid":%q,"offset":%q}`, c.token(t, "carl"), pid, offset))
			if !strings.Contains(answer, id) {
				t.Errorf("answered %s", answer)
			}
			other.call(t, 3, "publish", `{"room":"closed:secret","event":"hidden","data":2}`)
			other.call(t, 4, "publish", `{"room":"room:all","event":"last","data":2}`)
			var heard []string
			all := ""
			for !strings.Contains(all, `"last"`) || !strings.Contains(all, "rooms_removed") { // in any order
				heard = append(heard, w.until(t, "42["))
				all = strings.Join(heard, " ")
			}
			if strings.Contains(strings.Replace(all, "closed:secret", "", 1), "hidden") || !strings.Contains(all, `"seen"`) || !strings.Contains(all, "closed:secret") {
				t.Errorf("heard %s", all)
			}
			w.Close()
			other.Close()
		}},
		{"back after a logout", "a client that was logged out and its token revoked comes back to its session, with the token, and without", "connect_error: token_revoked; somebody new", []string{"tutti_revocations_total", `tutti_identities_total{result="token_revoked"}`}, func(t *testing.T, s *server) {
			token := c.token(t, "eve", everything)
			w, answer := s.enter(t, fmt.Sprintf(`{"token":%q}`, token))
			pid := between(answer, `"pid":"`, `"`)
			offset := between(w.call(t, 1, "join", `{"room":"closed:a"}`), `"offset":"`, `"`)
			if out, err := exec.Command(program, "disconnect", "--admin", "http://"+s.admin, "--user", "eve", "--revoke").CombinedOutput(); err != nil {
				t.Fatalf("disconnect: %v %s", err, out)
			}
			w.closedSocket(t)
			again, answer := s.enter(t, fmt.Sprintf(`{"token":%q,"pid":%q,"offset":%q}`, token, pid, offset))
			if !strings.Contains(answer, `"code":"token_revoked"`) {
				t.Errorf("answered %s", answer)
			}
			again.Close()
			again, answer = s.enter(t, fmt.Sprintf(`{"pid":%q,"offset":%q}`, pid, offset))
			if strings.Contains(answer, pid) {
				t.Errorf("without the token: %s", answer)
			}
			again.Close()
			w.Close()
		}},
		{"tokens that do not hold", "a token with another secret's signature, of alg none, altered, cut short, empty parts, 60 kB, no text", "connect_error: invalid_token", []string{`tutti_identities_total{result="invalid_token"}`}, func(t *testing.T, s *server) {
			good := c.token(t, "ann")
			parts := strings.Split(good, ".")
			other := newClerk(t)
			if err := os.WriteFile(other.secret, []byte(strings.Repeat("another-", 8)), 0o600); err != nil {
				t.Fatal(err)
			}
			none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
			for _, token := range []string{other.token(t, "ann"), none + "." + parts[1] + ".", none + "." + parts[1] + "." + parts[2], parts[0] + "." + parts[1] + ".", parts[0] + "." + parts[1][:len(parts[1])-2] + "AA." + parts[2], good[:len(good)-3], "..", "....", strings.Repeat("x", 60_000), "\x00"} {
				w, answer := s.enter(t, fmt.Sprintf(`{"token":%s}`, strings.ReplaceAll(fmt.Sprintf("%q", token), `\x00`, `\u0000`)))
				if !strings.Contains(answer, `"code":"invalid_token"`) {
					t.Errorf("%.60s is answered %s", token, answer)
				}
				w.Close()
			}
		}},
	})
}

// closedSocket fails unless the server takes the socket out of its namespace, or
// ends its session.
func (w *wire) closedSocket(t *testing.T) {
	t.Helper()
	for {
		op, data, err := w.read()
		if err != nil || op == opClose || string(data) == "41" {
			return
		}
	}
}
