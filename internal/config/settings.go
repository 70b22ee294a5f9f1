// Package config reads the settings of the program: from a YAML file, from the
// environment and from flags, each overriding the one before.
//
// There is one struct, [Settings], with one tag per field. The name in a file,
// the flag, the environment variable, the help text and the page in docs are
// all derived from that tag. [Load] reports every mistake it can find at once,
// each with its place and with what would be right.
//
// May import: nothing of ours.
package config

import "time"

// Settings is all that `tutti serve` can be told. A tag is "name PLACEHOLDER:
// help"; fields of an inner struct have the outer one's name in front. A
// Settings is a plain value: nothing here changes it after Load.
type Settings struct {
	Listen     string   `set:"listen HOST:PORT: Where to listen. Port 0 takes a free one; no host means every network interface."`
	Path       string   `set:"path PATH: Where Socket.IO clients connect: their option 'path'."`
	Demo       string   `set:"demo NAME: Serve a demo application: chat. Its rooms are open to all doors, unless door.listen or door.publish say otherwise."`
	Static     Folder   `set:"static FOLDER: Serve the files of a folder at /."`
	Namespaces []string `set:"namespace NAME: A namespace to open besides /. Repeatable."`
	Relay      []string `set:"relay EVENT: Pass events of this name, sent by any client, on to everyone in its namespace, the sender included. Repeatable."`
	RelayText  bool     `set:"relay-text: Pass every text that a plain WebSocket sends to /ws on to all that are connected there, the sender included."`

	Origin      []string `set:"origin ORIGIN: An origin, such as https://app.example.com, whose pages may connect, besides the server's own. Repeatable. '*' lets every page of the web connect."`
	Credentials bool     `set:"credentials: Let pages of other origins send cookies with polling requests."`
	AllowEIO3   bool     `set:"allow-eio3: Serve the clients of Socket.IO 1 and 2 too."`
	Transport   []string `set:"transport NAME: A transport to serve: polling or websocket. Repeatable."`
	Cookie      string   `set:"cookie NAME: Set a cookie of this name to the session's id, for load balancers that need one."`

	Metrics string `set:"metrics HOST:PORT: Serve /metrics for Prometheus, and /healthz, on an address of their own, such as 127.0.0.1:9090."`

	Door     Door     `set:"door"`
	Ping     Ping     `set:"ping"`
	Timeout  Timeout  `set:"timeout"`
	Limit    Limit    `set:"limit"`
	Compress Compress `set:"compress"`
	Log      Log      `set:"log"`
}

// Door is who may come in without Socket.IO: /events, /ws and /api/publish for
// the namespace /, and with the name of another behind, as /events/chat. They
// are closed until a room is opened.
type Door struct {
	Listen  []string `set:"listen PATTERN: Rooms that anyone may listen to; 'chat:*' is all whose name begins with chat:. Repeatable."`
	Publish []string `set:"publish PATTERN: Rooms that anyone may publish to. Repeatable."`
	Key     []Key    `set:"key KEY: A name, a secret of at least 16 characters, and patterns, with spaces between: who shows the secret may listen and publish to the rooms. Better in a file or a variable than in a flag, which others on the machine can see. Repeatable."`
}

// Ping is how dead clients are found.
type Ping struct {
	Interval time.Duration `set:"interval DURATION: Time between two heartbeats of a session."`
	Timeout  time.Duration `set:"timeout DURATION: How long a client may take to answer a heartbeat."`
}

// Timeout is how long things may take.
type Timeout struct {
	Upgrade time.Duration `set:"upgrade DURATION: How long the move from polling to WebSocket may take."`
	Connect time.Duration `set:"connect DURATION: How long a session may be in no namespace before it is closed."`
	Write   time.Duration `set:"write DURATION: How long a client may take none of the bytes written to it before it is closed."`
	Drain   time.Duration `set:"drain DURATION: How long to wait for sessions to end after SIGTERM or SIGINT."`
}

// Limit is how much one client, or all of them, may take up. Each may be
// "none".
type Limit struct {
	Payload     Bytes `set:"payload SIZE: The largest message a client may send."`
	Packet      Bytes `set:"packet SIZE: The largest event in memory, with its binary values, each of which is a message."`
	Queue       Bytes `set:"queue SIZE: How much may wait for one client. A client that reads too slowly for it is closed."`
	Inbox       Bytes `set:"inbox SIZE: How much one socket may have waiting for its handlers. A socket that sends too fast for it is disconnected."`
	Sessions    Count `set:"sessions NUMBER: How many sessions there may be. More are answered 503."`
	Namespaces  Count `set:"namespaces NUMBER: How many namespaces one session may be in."`
	Rooms       Count `set:"rooms NUMBER: How many rooms one socket may be in."`
	Calls       Count `set:"calls NUMBER: How many answers one socket may owe."`
	Attachments Count `set:"attachments NUMBER: How many binary values one packet may carry."`
}

// Compress is what is compressed. It is off for WebSocket because each message
// is then encoded again for each client that asks for it.
type Compress struct {
	HTTP      Bytes `set:"http SIZE: Compress polling answers from this size on, or none."`
	WebSocket Bytes `set:"websocket SIZE: Compress WebSocket messages from this size on, or none."`
}

// Log is what is logged, to standard error.
type Log struct {
	Format string `set:"format FORMAT: text or json."`
	Level  Level  `set:"level LEVEL: The least important that is logged: debug, info, warn or error."`
}

// Default returns the settings of a server that was told nothing.
func Default() Settings {
	return Settings{
		Listen:    "127.0.0.1:3000",
		Path:      "/socket.io/",
		Transport: []string{"polling", "websocket"},
		Ping:      Ping{Interval: 25 * time.Second, Timeout: 20 * time.Second},
		Timeout: Timeout{
			Upgrade: 10 * time.Second,
			Connect: 45 * time.Second,
			Write:   10 * time.Second,
			Drain:   10 * time.Second,
		},
		Limit: Limit{
			Payload:     1_000_000,
			Packet:      16 << 20,
			Queue:       1 << 20,
			Inbox:       4 << 20,
			Sessions:    None,
			Namespaces:  100,
			Rooms:       1000,
			Calls:       10_000,
			Attachments: 10,
		},
		Compress: Compress{HTTP: 1024, WebSocket: None},
		Log:      Log{Format: "text"},
	}
}
