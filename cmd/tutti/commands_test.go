package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// outcome is what became of a command that ended by itself.
type outcome struct {
	code           int
	stdout, stderr string
}

// runCommand runs a command to its end, with variables and an input.
func runCommand(t *testing.T, environ []string, input string, args ...string) outcome {
	t.Helper()
	cmd := invoke(t, args...)
	cmd.Env = append(cmd.Env, environ...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	code := exitCode(t, cmd.Run())
	return outcome{code, stdout.String(), stderr.String()}
}

func (o outcome) want(t *testing.T, what string, code int, stdout, stderr string) {
	t.Helper()
	if o.code != code || !strings.Contains(o.stdout, stdout) || !strings.Contains(o.stderr, stderr) || stdout == "" && o.stdout != "" || stderr == "" && o.stderr != "" {
		t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %d, %q, %q", what, o.code, o.stdout, o.stderr, code, stdout, stderr)
	}
}

// A follower is `tutti subscribe` at work.
type follower struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr *bytes.Buffer // to be read after wait only
}

func follow(t *testing.T, args ...string) *follower {
	t.Helper()
	f := &follower{t: t, cmd: invoke(t, append([]string{"subscribe"}, args...)...), stderr: &bytes.Buffer{}}
	f.cmd.Stderr = f.stderr
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	f.lines = bufio.NewScanner(out)
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if f.cmd.ProcessState == nil {
			f.cmd.Process.Kill()
			f.cmd.Wait()
		}
	})
	return f
}

// next returns the next message written.
func (f *follower) next() message {
	f.t.Helper()
	if !f.lines.Scan() {
		f.cmd.Wait()
		f.t.Fatalf("subscribe ended: %v; stderr:\n%s", f.lines.Err(), f.stderr)
	}
	var m message
	if err := json.Unmarshal(f.lines.Bytes(), &m); err != nil {
		f.t.Fatalf("%q: %v", f.lines.Text(), err)
	}
	return m
}

func (f *follower) wait() int {
	f.t.Helper()
	for f.lines.Scan() {
	}
	return exitCode(f.t, f.cmd.Wait())
}

// untilHeard publishes until a follower, whose beginning nobody can see, has
// heard the first message.
func untilHeard(t *testing.T, f *follower, url string) {
	t.Helper()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		f.next()
	}()
	for {
		select {
		case <-heard:
			return
		default:
			runCommand(t, nil, "", "publish", "--url", url, "--room", "a", "--event", "probe", "--quiet", "0")
		}
	}
}

// TestPublishSubscribe: what one command publishes the other one writes,
// from the offset that it was told.
func TestPublishSubscribe(t *testing.T) {
	p := start(t, "--data", t.TempDir(), "--open", "a", "--open", "b")
	first := runCommand(t, nil, "", "publish", "--url", p.url, "--room", "a", "--event", "note", `{"n":1}`)
	first.want(t, "publish", exitOK, " to 0 members\n", "")
	offset, _, _ := strings.Cut(first.stdout, " ")

	lines := "{\"n\":2}\n\nplain text\n42\n"
	o := runCommand(t, []string{"TUTTI_URL=" + p.url}, lines, "publish", "--room=a", "--event", "note", "--id", "june", "--json")
	o.want(t, "publish lines", exitOK, `"offset":"`, "")
	if n := strings.Count(o.stdout, "\n"); n != 3 {
		t.Errorf("published %d lines, want 3: %s", n, o.stdout)
	}
	o = runCommand(t, []string{"TUTTI_URL=" + p.url}, lines, "publish", "--room=a", "--event", "note", "--id", "june")
	o.want(t, "publish lines again", exitOK, " was there before\n", "")
	runCommand(t, nil, "", "publish", "--url", p.url, "--room", "a", "--event", "other", "--text", `{"n":3}`).want(t, "publish text", exitOK, " to 0", "")

	f := follow(t, "--url", p.url, "--json", "--after", offset, "--count", "4", "a")
	want := []message{{Event: "note", Data: []byte(`{"n":2}`)}, {Event: "note", Data: []byte(`"plain text"`)}, {Event: "note", Data: []byte("42")}, {Event: "other", Data: []byte(`"{\"n\":3}"`)}}
	var last string
	for _, w := range want {
		m := f.next()
		if m.Event != w.Event || string(m.Data) != string(w.Data) || m.Offset == "" {
			t.Errorf("got %s %s %q, want %s %s", m.Event, m.Data, m.Offset, w.Event, w.Data)
		}
		last = m.Offset
	}
	if code := f.wait(); code != exitOK || !strings.Contains(f.stderr.String(), "--after "+last+"\n") {
		t.Errorf("exit code %d, stderr %q", code, f.stderr)
	}

	f = follow(t, "--url", p.url, "--after", offset, "--event", "other", "--count", "1", "a")
	if out, err := f.lines, f.cmd; !out.Scan() || err == nil || !strings.HasSuffix(out.Text(), `  other  "{\"n\":3}"`) {
		t.Errorf("got %q", out.Text())
	}
	f.wait()
	f = follow(t, "--url", p.url, "--after", "nowhere-1", "--json", "a")
	untilHeard(t, f, p.url)
	f.cmd.Process.Signal(syscall.SIGINT)
	if code := f.wait(); code != exitOK || !strings.Contains(f.stderr.String(), "messages are missing here") {
		t.Errorf("unrecovered: exit code %d, stderr %q", code, f.stderr)
	}
}

// TestSubscribeReturns: a follower lives through a new start of the server, and
// writes what was published meanwhile, once.
func TestSubscribeReturns(t *testing.T) {
	data := t.TempDir()
	flags := []string{"--data", data, "--open", "a", "--door-retry", "100ms"}
	p := start(t, flags...)
	f := follow(t, "--url", p.url, "--json", "--event", "note", "--event", "probe", "a")
	untilHeard(t, f, p.url)
	publishNote := func(n string) {
		t.Helper()
		runCommand(t, nil, "", "publish", "--url", p.url, "--room", "a", "--event", "note", n).want(t, "publish "+n, exitOK, "-", "")
	}
	publishNote("1")
	p.signal(syscall.SIGTERM)
	p.wait()
	address := strings.TrimPrefix(p.url, "http://")
	p = startCommand(t, append([]string{"serve", "--listen", address}, flags...)...)
	publishNote("2")
	var got []string
	for len(got) < 2 {
		if m := f.next(); m.Event == "note" {
			got = append(got, string(m.Data))
		}
	}
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("got %q, want both notes once", got)
	}
	f.cmd.Process.Signal(syscall.SIGTERM)
	if code := f.wait(); code != exitOK || !strings.Contains(f.stderr.String(), "trying again") {
		t.Errorf("exit code %d, stderr:\n%s", code, f.stderr)
	}
}

// TestCommandMistakes: each says what is wrong and what to do.
func TestCommandMistakes(t *testing.T) {
	p := start(t, "--door-key", "backend 0123456789abcdef a", "--namespace", "/other")
	closed := start(t)
	gone := start(t)
	gone.signal(syscall.SIGTERM)
	gone.wait()
	tests := []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"publish", "--url", p.url, "--room", "a", "x"}, exitFailed, "tutti publish: a key is wanted: Authorization: Bearer <key> (unauthorized); give a key with --key or TUTTI_KEY\n"},
		{[]string{"publish", "--url", p.url, "--room", "a", "--key", "wrong", "x"}, exitFailed, "the key is not known (unauthorized); give a key"},
		{[]string{"publish", "--url", p.url, "--room", "b", "--key", "0123456789abcdef", "x"}, exitFailed, `room "b" is not open to you (forbidden)`},
		{[]string{"publish", "--url", closed.url, "--room", "b", "x"}, exitFailed, "open rooms there with door.publish"},
		{[]string{"publish", "--url", p.url, "--namespace", "/none", "x"}, exitFailed, " answered 404: not found. Is it a Tutti server? Name it with --url or TUTTI_URL\n"},
		{[]string{"publish", "--url", gone.url, "x"}, exitFailed, " does not answer: is it running? Name another with --url or TUTTI_URL: connection refused\n"},
		{[]string{"publish", "--url", strings.Replace(p.url, "http", "https", 1), "x"}, exitFailed, "speaks no TLS: name it with http://"},
		{[]string{"publish", "--url", "ftp://x", "x"}, exitUsage, `--url: "ftp://x" is no address of a server`},
		{[]string{"publish", "--namespace", "x", "x"}, exitUsage, `--namespace is "x"`},
		{[]string{"publish", "a", "b"}, exitUsage, "more than one DATA"},
		{[]string{"subscribe", "--url", p.url, "a"}, exitFailed, "give a key with --key"},
		{[]string{"subscribe", "--url", gone.url, "a"}, exitFailed, "is it running?"},
		{[]string{"subscribe", "--count", "0", "a"}, exitUsage, "--count is \"0\": want a number of 1 or more"},
		{[]string{"rooms"}, exitUsage, "which server? --data FOLDER is one on this machine"},
		{[]string{"rooms", "--data", t.TempDir()}, exitFailed, "no server is running with that folder"},
		{[]string{"rooms", "--limit"}, exitUsage, "--limit needs a value: --limit NUMBER"},
		{[]string{"rooms", "--json=yes", "--admin", gone.url}, exitUsage, "--json takes no value"},
		{[]string{"disconnect", "--data", "x", "stray"}, exitUsage, "whom? Give one of --user, --socket, --session, --room and --address"},
		{[]string{"drain", "--admin", gone.url}, exitFailed, "tutti drain: " + gone.url + " does not answer"},
		{[]string{"config"}, exitUsage, "want check or print"},
		{[]string{"config", "chekc"}, exitUsage, `there is no "chekc"`},
		{[]string{"config", "check"}, exitUsage, "which FILE?"},
		{[]string{"completion", "tcsh"}, exitUsage, "for which shell? bash, zsh or fish"},
	}
	for _, tt := range tests {
		runCommand(t, nil, "", tt.args...).want(t, strings.Join(tt.args, " "), tt.code, "", tt.stderr)
	}
	lines := runCommand(t, []string{"TUTTI_KEY=0123456789abcdef"}, "1\n2\n", "publish", "--url", p.url, "--room", "b")
	lines.want(t, "lines", exitFailed, "", `tutti publish: line 1: room "b" is not open to you`)
}

// TestHelp: every command has a help text, which names all of its flags and is
// no wider than a terminal.
func TestHelp(t *testing.T) {
	for _, cmd := range commands() {
		m := cmd.manual()
		asked := runCommand(t, nil, "", "help", m.name)
		if m.name == "help" {
			continue
		}
		asked.want(t, "help "+m.name, exitOK, "NAME\n    tutti "+m.name+" - ", "")
		if flagged := runCommand(t, nil, "", m.name, "--help"); flagged != asked {
			t.Errorf("tutti %s --help differs:\n%s", m.name, flagged.stdout)
		}
		for _, o := range m.options {
			if !strings.Contains(asked.stdout, "\n    --"+o.name) {
				t.Errorf("help %s lacks --%s", m.name, o.name)
			}
		}
		for line := range strings.Lines(asked.stdout) {
			if len([]rune(line)) > 81 && !strings.HasPrefix(line, "        tutti ") {
				t.Errorf("help %s: a line is too long: %s", m.name, line)
			}
		}
	}
}

func TestConfigCommand(t *testing.T) {
	dir := folderOf(t, map[string]string{
		"good.yaml": "listen: 127.0.0.1:0\nlog:\n  level: warn\n",
		"bad.yaml":  "lisen: x\nlog:\n  level: loud\n",
	})
	runCommand(t, nil, "", "config", "check", dir+"/good.yaml").want(t, "good", exitOK, "good.yaml is right\n", "")
	runCommand(t, []string{"TUTTI_WHATEVER=1"}, "", "config", "check", dir+"/good.yaml").want(t, "stray", exitOK, "is right", "TUTTI_WHATEVER is no setting")
	o := runCommand(t, nil, "", "config", "check", dir+"/bad.yaml", "--ping-timeout", "soon")
	o.want(t, "bad", exitFailed, "", "tutti config: 3 mistakes in the settings\n")
	for _, want := range []string{"bad.yaml:1: no setting is called lisen; did you mean listen?", "bad.yaml:3: log.level is \"loud\"", "--ping-timeout: "} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, o.stderr)
		}
	}
	runCommand(t, nil, "", "config", "print", dir+"/good.yaml").want(t, "print", exitOK, "level: warn  # "+dir+"/good.yaml:3\n", "")
	runCommand(t, nil, "", "config", "print").want(t, "defaults", exitOK, "listen: 127.0.0.1:3000\n", "")
}

func TestVersionJSON(t *testing.T) {
	o := runCommand(t, nil, "", "version", "--json")
	var b build
	if err := json.Unmarshal([]byte(o.stdout), &b); err != nil || b.Version == "" || !strings.HasPrefix(b.Go, "go1.") || !strings.Contains(b.Platform, "/") {
		t.Errorf("got %q, %v", o.stdout, err)
	}
}

// TestEventReader reads the forms that a stream may have.
func TestEventReader(t *testing.T) {
	text := ": comment\nretry: 3000\n\nid: 7-1\nevent: note\ndata: {\"a\":1}\n\nid:7-2\r\ndata:x\r\ndata: y\r\n\r\ndata: " + strings.Repeat("z", 10_000) + "\n\ndata: cut"
	r := eventReader{bufio.NewReader(strings.NewReader(text))}
	want := []event{
		{name: "message", retry: 3e9},
		{id: "7-1", name: "note", data: []byte(`{"a":1}`), hasData: true},
		{id: "7-2", name: "message", data: []byte("x\ny"), hasData: true},
		{name: "message", data: bytes.Repeat([]byte("z"), 10_000), hasData: true},
	}
	for _, w := range want {
		if e, err := r.next(); err != nil || e.id != w.id || e.name != w.name || !bytes.Equal(e.data, w.data) || e.hasData != w.hasData || e.retry != w.retry {
			t.Errorf("got %+v, %v, want %+v", e, err, w)
		}
	}
	if e, err := r.next(); err != io.EOF {
		t.Errorf("got %+v, %v, want EOF: what is cut off is no event", e, err)
	}
}
