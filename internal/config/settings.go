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
	RelayText  bool     `set:"relay-text: Pass every text that a plain WebSocket sends to / or /ws on to all that are connected there, the sender included."`

	Origin      []string  `set:"origin ORIGIN: An origin, such as https://app.example.com, whose pages may connect, besides the server's own. Repeatable. '*' lets every page of the web connect." live:"yes"`
	Hosts       []string  `set:"hosts HOST: A name by which this server is asked for, such as app.example.com or app.example.com:8443; requests for others are refused. Repeatable. '*' lets every name pass. Default: when listen is a loopback address, localhost, names ending in .localhost, and the names of origin, so that no page of the web can reach the server by a name of its own (DNS rebinding); else every name. Addresses always pass but where names are given here." live:"yes"`
	Proxies     []Network `set:"trusted-proxies CIDR: Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: the client is then the right-most address there that is none of them, and https is https. Repeatable."`
	Credentials bool      `set:"credentials: Let pages of other origins send cookies with polling requests." live:"yes"`
	AllowEIO3   bool      `set:"allow-eio3: Serve the clients of Socket.IO 1 and 2 too."`
	Transport   []string  `set:"transport NAME: A transport to serve: polling or websocket. Repeatable."`
	Cookie      string    `set:"cookie NAME: Set a cookie of this name to the session's id, for load balancers that need one."`

	Metrics string `set:"metrics HOST:PORT: Serve /metrics for Prometheus, and /healthz, on an address of their own, such as 127.0.0.1:9090."`

	Admin  Admin  `set:"admin"`
	Traces Traces `set:"traces"`

	Data    Folder        `set:"data FOLDER: Keep in a folder what must outlive the program: namespaces then have a memory, in which clients that come back find what they missed."`
	Memory  []string      `set:"memory NAMESPACE: A namespace with memory. Repeatable. Default: with data or engine / and each of namespace, else none. Without either a memory ends with the program."`
	Window  time.Duration `set:"window DURATION: How long a client may be away and still get all that it missed, and how long a message that is published again under the same id is recognised."`
	Durable []RoomRule    `set:"durable RULE: Rooms that keep a history: a pattern, such as chat:*, and perhaps count=1000, bytes=10MB, age=30d or durability=async with spaces between. Needs data or engine. The first that fits a room holds. Count is 10000 unless it says otherwise. Repeatable."`
	Allow   []VerbRule    `set:"allow RULE: Who may use the standard verbs in the rooms of a pattern: the pattern, and of join, publish, history, presence and state which one =anyone, =members or =token, with spaces between. event=NAME, any number of times, limits what may be published. The first that fits a room holds. Repeatable." live:"yes"`
	Open    []string      `set:"open PATTERN: Rooms in which anyone may use all standard verbs. Repeatable." live:"yes"`

	Schemas []SchemaRule `set:"schema RULE: Hold what clients send to a JSON Schema: the name of an event, and file=FILE with spaces between, perhaps with room=PATTERN, namespace=NAME, or args=true for a schema of all arguments. Every rule that fits holds. Repeatable." live:"yes"`

	Engine     string `set:"engine URL: Make the program one node of several that share an engine: redis://HOST:PORT or nats://HOST:PORT, with user:password@ before the host if it wants them. Better in a file or a variable than in a flag if it has a password."`
	Cluster    string `set:"cluster NAME: The name by which the nodes of a cluster find each other on their engine."`
	Advertise  string `set:"advertise URL: Where the other nodes reach this one, as http://HOST:PORT, to pass on what clients ask of sessions here. Default: where it listens."`
	EngineLoss bool   `set:"engine-loss: Accept an engine whose configuration loses what was acknowledged, such as a Redis that writes nothing to disk."`

	Node Node `set:"node"`

	TLS TLS `set:"tls"`

	Auth     Auth     `set:"auth"`
	Presence Presence `set:"presence"`
	Door     Door     `set:"door"`
	Ping     Ping     `set:"ping"`
	Timeout  Timeout  `set:"timeout"`
	Limit    Limit    `set:"limit"`
	Rate     Rates    `set:"rate"`
	Compress Compress `set:"compress"`
	Log      Log      `set:"log"`
}

// Admin is how operators look at a running server and act on it.
type Admin struct {
	Listen     string     `set:"listen HOST:PORT: Serve the page, API, metrics, health and profiles for operators, on an address of their own, such as 127.0.0.1:9091. The flag is --admin. Without admin.keys it must be one of this machine's loopback."`
	Keys       []AdminKey `set:"keys KEY: Who may come in there: a name, view or operate, and the hash of the key, sha256:… as 'tutti token key' prints it, with spaces between. Repeatable." live:"yes"`
	Payloads   bool       `set:"payloads: Let operators see what is sent in rooms, not only how much."`
	Audit      Folder     `set:"audit FILE: Append what operators do to a file, as lines of JSON. Default: to the log."`
	UI         string     `set:"ui MODE: Let the official Socket.IO admin UI connect to the namespace /admin, in the mode production or development, or off. Development tells it every event."`
	UIUser     string     `set:"ui-user NAME: The user's name for it."`
	UIPassword Secret     `set:"ui-password HASH: The bcrypt hash of the password for it, as 'htpasswd -nbB' prints it behind the colon."`
	UIReadonly bool       `set:"ui-readonly: Let it look, and not act."`
}

// Traces is how single messages are followed through the server.
type Traces struct {
	Endpoint string `set:"endpoint URL: Send OpenTelemetry traces there, by OTLP over HTTP, such as http://127.0.0.1:4318."`
	Ratio    string `set:"ratio NUMBER: Which share of the messages is followed whose publisher doesn't say, from 0 to 1. Who publishes with a traceparent decides for itself."`
	Rate     Count  `set:"rate NUMBER: How many messages per second are followed at most; a tenth of them of one address, but for who publishes with a key."`
}

// Node is a cluster of Socket.IO servers on Node.js to take part in.
type Node struct {
	Cluster string `set:"cluster URL: Take part in a cluster of Socket.IO servers on Node.js, with the namespaces that have no memory: the redis://HOST:PORT by which they meet. Better in a file or a variable than in a flag if it has a password in it."`
	Adapter string `set:"adapter NAME: The adapter of those servers: classic or sharded of @socket.io/redis-adapter, sharded-static or sharded-private for its option subscriptionMode, or streams of @socket.io/redis-streams-adapter."`
	Prefix  string `set:"prefix TEXT: What their keys and channels begin with: the adapters' options key, channelPrefix and streamName."`
	Streams Count  `set:"streams NUMBER: The option streamCount of the streams adapter."`
	Length  Count  `set:"stream-length NUMBER: About how many entries a stream keeps, the option maxLen of the streams adapter. The least of all servers' counts."`

	Timeout time.Duration `set:"timeout DURATION: How long those servers may take to answer, and how long what is said to them waits for Redis: the adapters' option requestsTimeout."`
	Waiting Bytes         `set:"waiting SIZE: How much may wait to be sent to them, and how much that came from them may wait in each namespace. What is beyond is dropped."`
	Calls   Count         `set:"calls NUMBER: How many of their events that ask for answers a namespace handles at a time. One more is answered as if nobody was here."`
}

// NodeAdapters are the values of node.adapter.
var NodeAdapters = []string{"classic", "sharded", "sharded-static", "sharded-private", "streams"}

// Presence is how rooms tell who is in them.
type Presence struct {
	Grace time.Duration `set:"grace DURATION: How long somebody whose connection was lost still counts as present, in namespaces with memory."`
	Tick  time.Duration `set:"tick DURATION: How long changes are collected before they are told."`
}

// Door is who may come in without Socket.IO: /events, /ws and /api/publish for
// the namespace /, and with the name of another behind, as /events/chat. They
// are closed until a room is opened.
type Door struct {
	Listen  []string `set:"listen PATTERN: Rooms that anyone may listen to; 'chat:*' is all whose name begins with chat:. Repeatable." live:"yes"`
	Publish []string `set:"publish PATTERN: Rooms that anyone may publish to. Repeatable." live:"yes"`
	Key     []Key    `set:"key KEY: A name, a secret of at least 16 characters, and patterns, with spaces between: who shows the secret may listen and publish to the rooms. Better in a file or a variable than in a flag, which others on the machine can see. Repeatable." live:"yes"`

	Streams      Count         `set:"streams NUMBER: How many streams may be open at /events, and how many at /ws, in each namespace, or none for no limit." live:"yes"`
	Rooms        Count         `set:"rooms NUMBER: How many rooms a stream may be in, and a message be for, or none for no limit but limit.rooms."`
	Retry        time.Duration `set:"retry DURATION: How long a browser waits before it comes back to /events, at least; at most twice that, so that not all come at once."`
	Rate         Count         `set:"rate NUMBER: How many messages per second one WebSocket may send in the long run, or none for no limit." live:"yes"`
	Burst        Count         `set:"burst NUMBER: How many messages one WebSocket may send at once." live:"yes"`
	PublishRate  Count         `set:"publish-rate NUMBER: How many messages per second one address may publish without a key in the long run, and how many pages it may read, or none for no limit. Behind a proxy all have its address." live:"yes"`
	PublishBurst Count         `set:"publish-burst NUMBER: How many messages one address may publish without a key at once, and how many pages it may read." live:"yes"`
	KeyRate      Count         `set:"key-rate NUMBER: How many messages per second the bearers of one key may publish in the long run, and how many pages they may read, or none for no limit." live:"yes"`
	KeyBurst     Count         `set:"key-burst NUMBER: How many messages the bearers of one key may publish at once, and how many pages they may read." live:"yes"`
}

// Ping is how dead clients are found.
type Ping struct {
	Interval time.Duration `set:"interval DURATION: Time between two heartbeats of a session."`
	Timeout  time.Duration `set:"timeout DURATION: How long a client may take to answer a heartbeat."`
}

// Timeout is how long things may take.
type Timeout struct {
	Upgrade    time.Duration `set:"upgrade DURATION: How long the move from polling to WebSocket may take."`
	Connect    time.Duration `set:"connect DURATION: How long a session may be in no namespace before it is closed."`
	Attachment time.Duration `set:"attachment DURATION: How long an event may wait for its binary values before its session is closed."`
	Write      time.Duration `set:"write DURATION: How long a client may take none of the bytes written to it before it is closed, and how long the body of a message that it publishes may take."`
	Header     time.Duration `set:"header DURATION: How long the header of a request may take to arrive."`
	Idle       time.Duration `set:"idle DURATION: How long an HTTP connection may wait for its next request."`
	Engine     time.Duration `set:"engine DURATION: How long what a client wants may wait for an engine that is away, before it is refused."`
	Refusal    time.Duration `set:"refusal DURATION: About how long who comes too often waits for the answer that says so. 0 is not at all." live:"yes"`
	Drain      time.Duration `set:"drain DURATION: How long to wait for sessions to end after SIGTERM or SIGINT." live:"yes"`
	Pace       time.Duration `set:"pace DURATION: Over how much of timeout.drain a server with an engine closes its sessions and streams, one after another, so that the others can take them; half of timeout.drain at most. 0 is all at once, as a server does that is alone." live:"yes"`
}

// Limit is how much one client, or all of them, may take up. Each may be
// "none".
type Limit struct {
	Payload       Bytes     `set:"payload SIZE: The largest message a client may send."`
	Packet        Bytes     `set:"packet SIZE: The largest event in memory, with its binary values, each of which is a message."`
	Queue         Bytes     `set:"queue SIZE: How much may wait for one client. A client that reads too slowly for it is closed."`
	Inbox         Bytes     `set:"inbox SIZE: How much one socket may have waiting for its handlers. A socket that sends too fast for it is disconnected."`
	Tape          Bytes     `set:"tape SIZE: How much of the end of a memory is held in RAM, for each namespace, to be replayed from there. Older messages are read from data."`
	Gone          Count     `set:"gone NUMBER: How many clients that are gone may come back to what they missed, in each namespace with memory. Those that went first are forgotten first, and told so."`
	IDs           Count     `set:"ids NUMBER: How many messages with an id are remembered within the window, in each namespace with memory. When there are as many, further ones are refused."`
	Auth          Bytes     `set:"auth SIZE: How much a client may say about itself when it connects to a namespace: its option 'auth'."`
	Header        Bytes     `set:"header SIZE: The largest header of a request, which can't be none."`
	Sessions      Count     `set:"sessions NUMBER: How many sessions there may be; more are answered 503. 0 is three quarters of the files that the process may have open, and one for each 16 KiB of memory at most." live:"yes"`
	Address       Count     `set:"address NUMBER: How many sessions and streams one network address may have. More are answered 503." live:"yes"`
	User          Count     `set:"user NUMBER: How many sessions and streams one user may have. More are refused with connect_error, or 503." live:"yes"`
	Requests      Count     `set:"requests NUMBER: How many connections one network address may have that are not WebSockets, those without a request included; never more than half of the files that may be open. More are closed at once."`
	Reserve       Count     `set:"reserve NUMBER: How many of the files that the process may have open are kept from connections. When there are fewer left, new connections are answered 503 and closed."`
	Busy          Count     `set:"busy NUMBER: How many addresses, how many users and how many rooms are held to their rates apart from each other. When more are busy at a time, new ones are refused." live:"yes"`
	Waiting       Bytes     `set:"waiting SIZE: How much may wait for all clients together, or have half arrived from them. Beyond it those for whom most waits are closed. 0 is a quarter of the memory that the process may use."`
	Exempt        []Network `set:"exempt CIDR: Addresses to which no limit of addresses applies, because many come from them: a proxy that is not in trusted-proxies. Repeatable." live:"yes"`
	Namespaces    Count     `set:"namespaces NUMBER: How many namespaces one session may be in."`
	Dynamic       Count     `set:"dynamic NUMBER: How many namespaces whose names clients chose there may be, where a demo lets them choose."`
	Rooms         Count     `set:"rooms NUMBER: How many rooms one socket may be in."`
	Calls         Count     `set:"calls NUMBER: How many answers one socket may owe."`
	Batch         Count     `set:"batch NUMBER: How many Engine.IO packets one POST may carry."`
	Attachments   Count     `set:"attachments NUMBER: How many binary values one packet may carry."`
	Binaries      Count     `set:"binaries NUMBER: How many binary values one packet of the MessagePack parser may carry."`
	Depth         Count     `set:"depth NUMBER: How deep arrays and objects may lie within one another. None means 10000."`
	NamespaceName Bytes     `set:"namespace-name SIZE: The longest name of a namespace."`
	RoomName      Bytes     `set:"room-name SIZE: The longest name of a room."`
	EventName     Bytes     `set:"event-name SIZE: The longest name of an event."`
	Data          Bytes     `set:"data SIZE: The largest data that the verb publish takes." live:"yes"`
	State         Bytes     `set:"state SIZE: The largest state that the verb state takes."`
	Page          Count     `set:"page NUMBER: How many messages or people one page of a verb's answer may have, at most 1000." live:"yes"`
	PageBytes     Bytes     `set:"page-bytes SIZE: How large one page may be. It has one message at least." live:"yes"`
	Schema        Count     `set:"schema NUMBER: How many values and subschemas may be looked at when data is held to its schema. What takes more is refused." live:"yes"`
}

// Rates are how often things may happen, written 500/s burst=2000: so many per
// second in the long run and so many at once. Messages are all that comes in by
// sockets and WebSockets; publishing, joining and reading are done by the verbs
// and the doors.
type Rates struct {
	Handshakes        Rate `set:"handshakes RATE: Sessions and streams that begin. More are answered 503." live:"yes"`
	AddressHandshakes Rate `set:"address-handshakes RATE: The same from one network address." live:"yes"`

	ConnectionEvents    Rate `set:"connection-events RATE: Messages from one connection. Those beyond it are refused in their acknowledgement; without one the connection is closed." live:"yes"`
	ConnectionPublishes Rate `set:"connection-publishes RATE: Messages published from one connection." live:"yes"`
	ConnectionJoins     Rate `set:"connection-joins RATE: Rooms joined and left by one connection." live:"yes"`
	ConnectionReads     Rate `set:"connection-reads RATE: Pages of histories and presence read by one connection." live:"yes"`
	UserEvents          Rate `set:"user-events RATE: Messages from all connections of one user." live:"yes"`
	UserPublishes       Rate `set:"user-publishes RATE: Messages published by one user." live:"yes"`
	UserJoins           Rate `set:"user-joins RATE: Rooms joined and left by one user." live:"yes"`
	UserReads           Rate `set:"user-reads RATE: Pages read by one user." live:"yes"`
	AddressEvents       Rate `set:"address-events RATE: Messages from all connections of one network address." live:"yes"`
	AddressPublishes    Rate `set:"address-publishes RATE: Messages published from one network address." live:"yes"`
	AddressJoins        Rate `set:"address-joins RATE: Rooms joined and left from one network address." live:"yes"`
	AddressReads        Rate `set:"address-reads RATE: Pages read from one network address." live:"yes"`
	RoomPublishes       Rate `set:"room-publishes RATE: Messages published to one room, by whomever." live:"yes"`
	RoomJoins           Rate `set:"room-joins RATE: Joins of one room, by whomever." live:"yes"`
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
	Level  Level  `set:"level LEVEL: The least important that is logged: debug, info, warn or error." live:"yes"`
}

// Default returns the settings of a server that was told nothing.
func Default() Settings {
	return Settings{
		Listen:    "127.0.0.1:3000",
		Path:      "/socket.io/",
		Transport: []string{"polling", "websocket"},
		Window:    2 * time.Minute,
		Cluster:   "tutti",
		Auth:      defaultAuth(),
		Admin:     Admin{UI: "off"},
		Traces:    Traces{Ratio: "0.01", Rate: 100},
		Node:      defaultNode(),
		Presence:  Presence{Grace: 10 * time.Second, Tick: 100 * time.Millisecond},
		Ping:      Ping{Interval: 25 * time.Second, Timeout: 20 * time.Second},
		Door: Door{
			Streams:      10_000,
			Rooms:        100,
			Retry:        2 * time.Second,
			Rate:         200,
			Burst:        400,
			PublishRate:  10,
			PublishBurst: 50,
			KeyRate:      1000,
			KeyBurst:     2000,
		},
		Timeout: Timeout{
			Upgrade:    10 * time.Second,
			Connect:    45 * time.Second,
			Attachment: 30 * time.Second,
			Write:      10 * time.Second,
			Header:     10 * time.Second,
			Idle:       2 * time.Minute,
			Engine:     5 * time.Second,
			Refusal:    time.Second,
			Drain:      10 * time.Second,
			Pace:       5 * time.Second,
		},
		Limit: Limit{
			Payload:       1_000_000,
			Packet:        16 << 20,
			Queue:         1 << 20,
			Inbox:         4 << 20,
			Tape:          64 << 20,
			Gone:          500_000,
			IDs:           500_000,
			Auth:          64 << 10,
			Header:        32 << 10,
			Sessions:      0,
			Address:       2000,
			User:          200,
			Requests:      4000,
			Reserve:       200,
			Busy:          100_000,
			Waiting:       0,
			Exempt:        []Network{mustNetwork("127.0.0.0/8"), mustNetwork("::1/128")},
			Namespaces:    100,
			Dynamic:       10_000,
			Rooms:         1000,
			Calls:         10_000,
			Batch:         10_000,
			Attachments:   10,
			Binaries:      1000,
			Depth:         512,
			NamespaceName: 1 << 10,
			RoomName:      256,
			EventName:     4 << 10,
			Data:          64 << 10,
			State:         1 << 10,
			Page:          200,
			PageBytes:     128 << 10,
			Schema:        50_000,
		},
		Rate: Rates{
			Handshakes:          Rate{2000, 10_000},
			AddressHandshakes:   Rate{50, 500},
			ConnectionEvents:    Rate{500, 2000},
			ConnectionPublishes: Rate{200, 400},
			ConnectionJoins:     Rate{100, 1000},
			ConnectionReads:     Rate{50, 200},
			UserEvents:          Rate{1000, 4000},
			UserPublishes:       Rate{500, 1000},
			UserJoins:           Rate{200, 2000},
			UserReads:           Rate{200, 500},
			AddressEvents:       Rate{5000, 20_000},
			AddressPublishes:    Rate{2000, 4000},
			AddressJoins:        Rate{1000, 10_000},
			AddressReads:        Rate{500, 2000},
			RoomPublishes:       Rate{1000, 2000},
			RoomJoins:           Rate{5000, 50_000},
		},
		TLS:      TLS{Directory: "https://acme-v02.api.letsencrypt.org/directory", Min: "1.2", HSTS: 30 * 24 * time.Hour},
		Compress: Compress{HTTP: 1024, WebSocket: None},
		Log:      Log{Format: "text"},
	}
}
