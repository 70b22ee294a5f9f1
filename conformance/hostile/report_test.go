package hostile

const reportHead = `<!-- Written by the tests: go test ./conformance/hostile -update -->

# Hostile inputs: tried, survived

Each line is a test against ` + "`tutti serve`" + ` as a process of its own, over the wire; those of acknowledgements and of
families of namespaces are against an application on the library. The numbers are those that the tests send. First it is seen that what the
last column names has grown, or stands in the log, before anybody else has come. Then a fresh client is served over both transports,
within ten seconds; sessions, sockets, streams and rooms are as many as before; so are, but for 6 each, goroutines and open files, and
but for 6 MiB the memory in use after a collection (24 after crowds: of each session it is kept for a while what a client needs to come back); nothing waits to be written; nothing panicked. Goroutines that rest between two handlers, which there may be
a few of and which end by themselves, are not counted. At the end of each table all of it is compared with the start as well, with the same
slack and a few MiB more for what is kept on purpose, so that what an item leaves behind cannot add up.

In Storage a server that has failed serves nobody, on purpose: there the fresh client comes after a start on a folder that works.
The figures in [limits](limits.md) say how a well-behaved client fares meanwhile.
`

const reportEnd = `
## Elsewhere

| item | where it is tried |
| --- | --- |
| a disk that is full, fails to write, fails to sync, loses what was not synced; a bit that flips anywhere; files that are missing, torn, empty or there twice | ` + "`hub/pebblehub`: `fault_test.go`, `crash_test.go`, `damage_test.go`" + `, on a file system that does it |
| every decoder: packets, payloads, frames, deflate, queries, records, patterns | fuzzers in ` + "`packet`, `engineio`, `internal/websocket`, `hub`, `door`, `demo/chat`: `make fuzz`" + ` |
| servers that are killed, networks that fail, clients that come back | ` + "`make chaos`" + ` |
| rooms of 100,000: publishing to them, presence in them | ` + "`hub`: `BenchmarkPresence`, `bench_test.go`" + `, without sockets: a test of sockets has no files for as many |
| clocks: messages that seem to come from the future | ` + "`hub`: `TestClockPutBack`" + ` |
| the secret of a node, which the engine alone carries; what a node says of its clients | ` + "`internal/forward`: `TestStrangers`" + ` |
| messages on an engine that no node has sent, too large, stored by somebody else; its users and TLS | ` + "`hub/redishub`: `TestForeign`, `TestACL`, `TestTLS`; `hub/natshub`: `TestForeign`, `TestForeignStored`, `TestTooLarge`" + ` |

## Not there

Nodes do not insist on a password or on TLS for an engine on another machine, nor on TLS between each other: see
[cluster](cluster.md). A renegotiation of TLS is not tried as such: this server's library has none, for clients that ask for one
in the clear see above.
`
