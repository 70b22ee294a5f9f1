package admin_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-rt/tutti/admin"
	"github.com/tutti-rt/tutti/internal/siotest"
)

// uiHash is the hash of "changeit", at the lowest cost.
const uiHash = "$2a$04$OciU//4mlCNre.9/IJ53G.fOvP/qpd/Ymzz7Li3/VUMw8Agu7.knS"

// TestUILogin: the admin UI gets in with a password or with the id it was given
// then, and nobody else, however often they try.
func TestUILogin(t *testing.T) {
	k := newKit(t, func(c *admin.Config) { c.UI = &admin.UI{User: "admin", PasswordHash: uiHash} })
	connect := func(auth string) (string, error) {
		t.Helper()
		c, err := k.network.Dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		if err := c.Send("0" + admin.UINamespace + "," + auth); err != nil {
			t.Fatal(err)
		}
		return c.Receive()
	}
	for _, auth := range []string{``, `{}`, `{"username":"admin","password":"wrong"}`, `{"username":"root","password":"changeit"}`, `{"sessionId":"0123456789abcdef"}`, `{"sessionId":1}`} {
		if got, err := connect(auth); got != `4/admin,{"message":"invalid credentials"}` || err != nil {
			t.Errorf("%s: got %q, %v", auth, got, err)
		}
	}
	got, err := connect(`{"username":"admin","password":"changeit"}`)
	id, ok := strings.CutPrefix(got, `2/admin,["session","`)
	if !ok || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	if got, err := connect(`{"sessionId":"` + strings.TrimSuffix(id, `"]`) + `"}`); !strings.HasPrefix(got, `0/admin,{"sid":"`) || err != nil {
		t.Errorf("with the id: got %q, %v", got, err)
	}
	for range 10 {
		got, _ = connect(`{"username":"admin","password":"wrong"}`)
	}
	if got != `4/admin,{"message":"too many tries"}` {
		t.Errorf("got %q", got)
	}
	if k.key = viewKey; strings.Contains(k.audit.String(), "changeit") || !strings.Contains(k.audit.String(), `"action":"login","target":"/admin","result":"unauthorized"`) {
		t.Errorf("the audit log is\n%s", k.audit)
	}
}

// TestUILoginsWait: passwords are checked one at a time, and those who wait are few.
func TestUILoginsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *admin.Config) { c.UI = &admin.UI{User: "admin", PasswordHash: uiHash} })
		try := func() *siotest.Client {
			t.Helper()
			c, err := k.network.Dial()
			if err == nil {
				err = c.Send("0" + admin.UINamespace + `,{"username":"admin","password":"changeit"}`)
			}
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return c
		}
		release := sync.OnceFunc(k.admin.HoldLogin())
		defer time.AfterFunc(10*time.Second, release).Stop() // for who waits and should not
		var waiting []*siotest.Client
		for range 8 {
			waiting = append(waiting, try())
		}
		late := try()
		defer late.Close()
		if got, err := late.Receive(); got != `4/admin,{"data":{"code":"unavailable","retry":5000},"message":"too many logins at a time: come again"}` || err != nil {
			t.Errorf("one more than may wait: %q, %v", got, err)
		}
		release()
		for _, c := range waiting {
			if got, err := c.Receive(); !strings.HasPrefix(got, `2/admin,["session"`) || err != nil {
				t.Errorf("who waited: %q, %v", got, err)
			}
			c.Close()
		}
		again := try()
		defer again.Close()
		if got, err := again.Receive(); !strings.HasPrefix(got, `2/admin,["session"`) || err != nil {
			t.Errorf("who comes then: %q, %v", got, err)
		}
	})
}

// TestUIOff: without the setting there is no such namespace.
func TestUIOff(t *testing.T) {
	k := newKit(t, nil)
	c, err := k.network.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Connect(admin.UINamespace, ""); err == nil || !strings.Contains(err.Error(), "Invalid namespace") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []*admin.UI{{}, {User: "a"}, {User: "a", PasswordHash: "changeit"}} {
		if _, err := admin.New(admin.Config{UI: bad}); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	if w := k.request("GET", "/api/sockets?namespace=/admin", ""); w.Code != http.StatusOK {
		t.Errorf("got %d", w.Code)
	}
}
