package redishub

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A RefusedError says that the server can be reached, and is such that what the
// engine promises would not hold.
type RefusedError struct {
	Setting string // of the server, by its name there
	Reason  string // and what to do about it
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("redishub: the server is refused: %s: %s", e.Setting, e.Reason)
}

// shake makes a connection one that may be used: it says who we are, looks at
// the server, and has it learn the scripts.
func (e *Engine) shake(c *conn, o *redis.Options, first bool) error {
	hello := []string{"HELLO", "3"}
	if o.Password != "" {
		user := o.Username
		if user == "" {
			user = "default"
		}
		hello = append(hello, "AUTH", user, o.Password)
	}
	if _, err := c.answer(append(hello, "SETNAME", "tutti:"+e.node)...); err != nil {
		if strings.HasPrefix(err.Error(), "ERR unknown command") || strings.HasPrefix(err.Error(), "NOPROTO") {
			return &RefusedError{"HELLO", "it does not speak RESP3, as Redis does from version 6 on; a proxy in between may be why"}
		}
		return fmt.Errorf("greet: %w", err)
	}
	if o.DB != 0 {
		if _, err := c.answer("SELECT", strconv.Itoa(o.DB)); err != nil {
			return fmt.Errorf("select database %d: %w", o.DB, err)
		}
	}
	info, err := c.info()
	if err != nil {
		return err
	}
	if err := e.check(c, info, first); err != nil {
		return err
	}
	if err := e.checkFormat(c); err != nil {
		return err
	}
	if err := e.checkImport(c); err != nil {
		return err
	}
	c.life = lifeOf(info)
	if c.scripts, err = newRepertoire(c.life); err != nil {
		return err
	}
	for i, text := range c.scripts.text {
		if v, err := c.answer("SCRIPT", "LOAD", text); err != nil {
			return fmt.Errorf("load script %s: %w", scriptNames[i], err)
		} else if string(v.text) != c.scripts.sha[i] {
			return fmt.Errorf("load script %s: %w: it is %s there", scriptNames[i], errProtocol, v.text)
		}
	}
	return nil
}

// lifeOf names a life of the server: one process, for as long as it is the
// primary.
func lifeOf(info map[string]string) string {
	sum := sha256.Sum256([]byte(info["run_id"] + info["master_replid"]))
	return hex.EncodeToString(sum[:10])
}

// info asks the server about itself.
func (c *conn) info() (map[string]string, error) {
	v, err := c.answer("INFO")
	if err != nil {
		return nil, fmt.Errorf("look at the server: %w", err)
	}
	return parseInfo(string(v.text)), nil
}

func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, is, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			info[name] = is
		}
	}
	return info
}

// config asks for a setting. A server that does not tell it has "".
func (c *conn) config(name string) (string, error) {
	v, err := c.answer("CONFIG", "GET", name)
	var said serverError
	if errors.As(err, &said) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at the server: %w", err)
	}
	for i := 0; i+1 < len(v.list); i += 2 {
		if string(v.list[i].text) == name {
			return string(v.list[i+1].text), nil
		}
	}
	return "", nil
}

// check refuses a server that cannot keep what is promised, and warns of one that
// keeps it in part.
func (e *Engine) check(c *conn, info map[string]string, first bool) error {
	if err := checkKind(info); err != nil {
		return err
	}
	loss, err := e.checkLoss(c, info)
	if err != nil {
		return err
	}
	if loss != nil && !e.cfg.AllowLoss {
		return loss
	}
	if loss != nil && first {
		e.cfg.Log.Warn("Redis may lose what is acknowledged, which is allowed by the configuration", "setting", loss.Setting, "err", loss.Reason)
	}
	return e.checkSync(c, info, first)
}

var errImport = &RefusedError{"import", "messages are being moved there from another engine, and not all are: let \"tutti migrate\" complete it first"}

// clusterFormat is that of all that nodes keep and say to each other, the last
// that this version knows. It is raised by nodes of a later version when there are
// no others any more, or in which these would lose something.
const clusterFormat = 1

// checkFormat refuses a cluster whose nodes are of a later version.
func (e *Engine) checkFormat(c *conn) error {
	v, err := c.answer("GET", e.names.format())
	if err != nil {
		return fmt.Errorf("look at the cluster: %w", err)
	}
	text := string(v.text)
	if text == "" {
		return nil
	}
	if n, err := strconv.Atoi(text); err != nil || n > clusterFormat {
		return &RefusedError{"format " + text + " of the cluster",
			fmt.Sprintf("its nodes are of a later version of Tutti, and this one knows format %d at most: it would lose what they say", clusterFormat)}
	}
	return nil
}

// checkImport refuses a cluster that is being filled, unless that is why we are here.
func (e *Engine) checkImport(c *conn) error {
	v, err := c.answer("GET", e.names.importing())
	if err != nil {
		return fmt.Errorf("look for an import: %w", err)
	}
	if id := string(v.text); id != "" && id != e.importing {
		if e.importing != "" {
			return fmt.Errorf("%w: another import was begun and is not complete", ErrTaken)
		}
		return errImport
	}
	return nil
}

// checkKind refuses what does not work.
func checkKind(info map[string]string) error {
	version := info["redis_version"]
	major, _, _ := strings.Cut(version, ".")
	switch n, err := strconv.Atoi(major); {
	case err != nil || n < 7:
		return &RefusedError{"redis_version:" + version, "Redis 7.0 or later is needed, or Valkey"}
	case info["cluster_enabled"] == "1" || info["redis_mode"] == "cluster":
		return &RefusedError{"cluster-enabled yes", "Redis Cluster is not supported: publishing has no order across its nodes; use one primary with replicas and Sentinel"}
	case info["redis_mode"] == "sentinel":
		return &RefusedError{"redis_mode:sentinel", "this is a Sentinel: name the primary that it watches with ?master_name="}
	case info["role"] != "master":
		return &RefusedError{"role:" + info["role"], "this is a read-only replica: give the address of the primary, or of Sentinel with ?master_name="}
	}
	return nil
}

// checkLoss looks for what makes the server forget everything, or anything.
func (e *Engine) checkLoss(c *conn, info map[string]string) (*RefusedError, error) {
	policy, err := c.config("maxmemory-policy")
	if err != nil {
		return nil, err
	}
	if policy == "" {
		policy = info["maxmemory_policy"]
	}
	switch {
	case info["aof_enabled"] == "0":
		return &RefusedError{"appendonly no", "a restart would lose what is acknowledged; set \"appendonly yes\", or allow the loss in Tutti's configuration"}, nil
	case policy != "" && policy != "noeviction" && info["maxmemory"] != "0":
		return &RefusedError{"maxmemory-policy " + policy, "the server would forget what is acknowledged when its memory is full; set \"maxmemory-policy noeviction\", or allow the loss in Tutti's configuration"}, nil
	case policy != "" && policy != "noeviction":
		e.cfg.Log.Warn("Redis would forget what is acknowledged if it had a limit of memory", "setting", "maxmemory-policy "+policy)
	}
	return nil, nil
}

// checkSync warns of what a loss of power or of the primary takes.
func (e *Engine) checkSync(c *conn, info map[string]string, first bool) error {
	sync, err := c.config("appendfsync")
	if err != nil {
		return err
	}
	pauses, err := c.config("no-appendfsync-on-rewrite")
	if err != nil {
		return err
	}
	c.always = sync == "always" && info["aof_enabled"] == "1" && pauses != "yes"
	if !first {
		return nil
	}
	if pauses == "yes" {
		e.cfg.Log.Warn("while Redis rewrites its AOF, a loss of power may take half a minute of what it acknowledged", "setting", "no-appendfsync-on-rewrite yes")
	}
	switch sync {
	case "always":
	case "everysec":
		e.cfg.Log.Warn("a loss of power, or of the process while the disk is slow, may take the last second or two of what Redis acknowledged; set \"appendfsync always\" to lose nothing", "setting", "appendfsync everysec")
	case "no":
		e.cfg.Log.Warn("a loss of power may take half a minute of what Redis acknowledged; set \"appendfsync always\" to lose nothing", "setting", "appendfsync no")
	default:
		e.cfg.Log.Warn("Redis does not tell how it syncs, so nobody knows what a loss of power takes", "setting", "CONFIG GET appendfsync")
	}
	if n, _ := strconv.Atoi(info["connected_slaves"]); n > 0 {
		e.cfg.Log.Warn("replication is asynchronous: when a replica takes over, what it has not got is lost, and the log begins a new epoch", "setting", "connected_slaves:"+info["connected_slaves"])
	}
	return nil
}

// transient says whether a refusal of the server passes by itself: nothing was
// done, and it may be asked again.
func transient(err error) bool {
	for _, begin := range []string{"LOADING", "READONLY", "MASTERDOWN", "BUSY", "NOREPLICAS", "TRYAGAIN", "CLUSTERDOWN", "ERR max number of clients"} {
		if strings.HasPrefix(reason(err), begin) {
			return true
		}
	}
	return false
}

// reason is what the server said, of whichever client.
func reason(err error) string {
	var ours serverError
	var theirs redis.Error
	switch {
	case errors.As(err, &ours):
		return string(ours)
	case errors.As(err, &theirs):
		return theirs.Error()
	}
	return ""
}
