package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A remote is a running server that a command talks to.
type remote struct {
	client *http.Client
	base   string // what stands before every path
	key    string // "" for none
	// named is the server in errors, and found how to name another.
	named, found string
	keyed        string // how to give a key
}

// The options by which commands find a server: by its doors, or as operators.
var (
	publicOptions = []option{
		{name: "url", value: "URL", env: "TUTTI_URL", does: "The server. Default: http://localhost:3000."},
		{name: "key", value: "KEY", env: "TUTTI_KEY", does: "The secret of a key, or a token, that opens the rooms. Better in the variable than in the flag, which others on the machine can see."},
	}
	operatorOptions = []option{
		{name: "data", value: "FOLDER", env: "TUTTI_DATA", does: "The data folder of a server on this machine, which is reached through a socket there and asks for no key."},
		{name: "admin", value: "URL", env: "TUTTI_ADMIN", does: "The operators' address of a server, as http://127.0.0.1:9090: what it was given as --admin."},
		{name: "key", value: "KEY", env: "TUTTI_ADMIN_KEY", does: "An operator's key, for --admin. Better in the variable than in the flag, which others on the machine can see."},
	}
	jsonOption      = option{name: "json", does: "Write JSON, one line each."}
	namespaceOption = option{name: "namespace", value: "NAME", does: "A namespace other than /."}
)

// public returns the server with its doors.
func (a *arguments) public() (*remote, error) {
	base, err := baseOf(cmp.Or(a.value("url"), "http://localhost:3000"))
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	return &remote{client: &http.Client{}, base: base, key: a.value("key"), named: base, found: "--url or TUTTI_URL", keyed: "--key or TUTTI_KEY"}, nil
}

// operators returns the server as operators reach it.
func (a *arguments) operators() (*remote, error) {
	data, admin := a.value("data"), a.value("admin")
	if a.given("admin") {
		data = ""
	}
	switch {
	case a.given("data") && a.given("admin"):
		return nil, errors.New("--data and --admin exclude each other: one server at a time")
	case data != "":
		path := filepath.Join(data, controlName)
		return &remote{
			client: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			}}},
			base: "http://tutti", named: "the server of " + data, found: "--data, or --admin and a key",
		}, nil
	case admin != "":
		base, err := baseOf(admin)
		if err != nil {
			return nil, fmt.Errorf("--admin: %w", err)
		}
		return &remote{client: &http.Client{}, base: base, key: a.value("key"), named: base, found: "--admin or TUTTI_ADMIN", keyed: "--key or TUTTI_ADMIN_KEY"}, nil
	}
	return nil, errors.New("which server? --data FOLDER is one on this machine, --admin URL any, with its --key KEY")
}

// baseOf reads the address of a server, with or without http:// before it.
func baseOf(address string) (string, error) {
	full := address
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" {
		return "", fmt.Errorf("%q is no address of a server: want one such as http://localhost:3000", address)
	}
	return strings.TrimSuffix(full, "/"), nil
}

// An answerError is a server's no.
type answerError struct {
	status        int
	code, message string
	retry         time.Duration // when to come again; 0: it doesn't say
}

func (e *answerError) Error() string {
	return cmp.Or(e.message, strings.ToLower(http.StatusText(e.status)))
}

// again says whether the same may work later.
func (e *answerError) again() bool {
	return e.status == http.StatusTooManyRequests || e.status >= http.StatusBadGateway
}

// request makes a request to a path, with the key.
func (r *remote) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Tutti-Admin", "1") // a server without keys takes nothing that a page could send
	}
	req.Header.Set("User-Agent", "tutti/"+programVersion())
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	return req, nil
}

// largestAnswer is more than any page of an answer has.
const largestAnswer = 64 << 20

// send sends a request and reads the answer into a value. Errors say what to do.
func (r *remote) send(req *http.Request, into any) error {
	res, err := r.client.Do(req)
	if err != nil {
		return r.unreached(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return r.refused(res)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, largestAnswer))
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", r.named, err)
	}
	return nil
}

// get asks for a value.
func (r *remote) get(ctx context.Context, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	req, err := r.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return r.send(req, into)
}

// post asks for something to be done.
func (r *remote) post(ctx context.Context, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := r.request(ctx, http.MethodPost, path, text)
	if err != nil {
		return err
	}
	return r.send(req, into)
}

// refused reads an answer that says no.
func (r *remote) refused(res *http.Response) error {
	var answer struct {
		Error struct{ Code, Message string }
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil || json.Unmarshal(text, &answer) != nil {
		answer.Error.Message = strings.ToLower(http.StatusText(res.StatusCode))
	}
	e := &answerError{status: res.StatusCode, code: answer.Error.Code, message: answer.Error.Message}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		e.retry = time.Duration(s) * time.Second
	}
	switch {
	case e.code == "":
		return fmt.Errorf("%s answered %d: %w. Is it a Tutti server? Name it with %s", r.named, e.status, e, r.found)
	case e.status == http.StatusUnauthorized && r.keyed != "":
		return fmt.Errorf("%w (%s); give a key with %s", e, e.code, r.keyed)
	case e.code == "closed":
		return fmt.Errorf("%w (closed); open rooms there with door.publish, door.listen, allow or a key", e)
	}
	return fmt.Errorf("%w (%s)", e, e.code)
}

// unreached says why there was no answer, and what to do.
func (r *remote) unreached(err error) error {
	var name *net.DNSError
	var header tls.RecordHeaderError
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, syscall.ENOENT), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s can't be reached: no server is running with that folder. Name another with %s", r.named, r.found)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("not allowed to reach %s: that takes its user's rights", r.named)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s does not answer: is it running? Name another with %s: %w", r.named, r.found, syscall.ECONNREFUSED)
	case errors.As(err, &name):
		return fmt.Errorf("there is no host %s: name another with %s", name.Name, r.found)
	case errors.As(err, &header), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return fmt.Errorf("%s speaks no TLS: name it with http:// in the place of https://", r.named)
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return fmt.Errorf("%s can't be reached: %w", r.named, err)
}

// interruptible returns a context that ends at a signal. The function returned
// ends the wait for one.
func interruptible(ctx context.Context, c call) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	// Ends at a signal or with the command, which waits for it.
	waiting.Go(func() {
		select {
		case <-c.signals:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(); waiting.Wait() }
}
