package hostile

const reportHead = `<!-- Written by the tests: go test ./conformance/hostile -update -->

# Hostile inputs: tried, survived

Each line is a test against ` + "`tutti serve`" + ` as a process of its own, over the wire. After each, a fresh client is
served over both transports; goroutines, memory in use after a collection, open files, sessions and bytes that wait are
back where they were; nothing panicked; and what the last column names has grown or stands in the log. The figures in
[limits](limits.md) say how a well-behaved client fares meanwhile.
`

const reportEnd = `
## Elsewhere

| item | where it is tried |
| --- | --- |
| a disk that is full, fails to write, fails to sync, loses what was not synced; a bit that flips anywhere; files that are missing, torn, empty or there twice | ` + "`hub/pebblehub`: `fault_test.go`, `crash_test.go`, `damage_test.go`" + `, on a file system that does it |
| every decoder: packets, payloads, frames, deflate, queries, records, patterns | fuzzers in ` + "`packet`, `engineio`, `internal/websocket`, `hub`, `door`, `demo/chat`: `make fuzz`" + ` |
| servers that are killed, networks that fail, clients that come back | ` + "`make chaos`" + ` |

## Not applicable yet

There is no cluster port. These wait for it: a peer that does not prove itself; a wrong cluster's id; a frame that is
replayed, cut short, or announces 2 GB; a secret or TLS demanded outside of loopback.
`
