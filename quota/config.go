package quota

import (
	"net/netip"
	"time"
)

// A Rate is how often something may happen: so many at once, so many per second
// after that. The zero Rate is no limit.
type Rate struct {
	PerSecond float64 // in the long run; 0 or less: no limit
	Burst     int     // at once; less than 1 counts as 1
}

// Rates are the rates of one connection, user, address or room.
type Rates struct {
	// Events are messages that come in, of whatever kind: events, verbs,
	// requests to connect to a namespace.
	Events Rate
	// Publishes are messages that are to be handed to others by a verb or a
	// door.
	Publishes Rate
	// Joins are rooms joined or left by a verb or a door.
	Joins Rate
	// Reads are pages of histories and of who is present, by a verb or a door.
	Reads Rate
}

// Config says what a [Quota] allows. The zero Config allows everything;
// [Default] is what the program starts with.
type Config struct {
	// Connection are the rates of one session or stream.
	Connection Rates
	// User are the rates of all connections of one user together.
	User Rates
	// Address are the rates of all connections of one network address together:
	// an IPv4 address, or a /64 of IPv6.
	Address Rates
	// Room are the rates of one room of a namespace, whoever publishes or joins.
	// Its Events and Reads mean nothing.
	Room Rates

	// Handshakes is how often sessions and streams may begin, and
	// AddressHandshakes how often from one address. From a /48 of IPv6, of which
	// one sender may have all the /64, it is eight times that.
	Handshakes, AddressHandshakes Rate
	// MaxAddress is how many sessions and streams one address may have at a
	// time, and MaxUser how many one user. 0 or less: no limit. A /48 of IPv6 may
	// have eight times as many as an address.
	MaxAddress, MaxUser int

	// Exempt are the addresses to which no limit of addresses applies: those
	// behind which many are, as a proxy that does not say for whom it asks.
	Exempt []netip.Prefix
	// Shared says of a user that it is many, as the bearers of a key are: it is
	// not held to the limits of one. Nil: nobody is.
	Shared func(user string) bool

	// MaxBusy is how many addresses, how many users and how many rooms are held
	// to their rates apart from each other. Beyond it, those that are new are
	// refused until others come to rest. Default 100,000: about 10 MB each.
	MaxBusy int

	// Refusal is how long an answer to a request waits that says that there were
	// too many: about that long, so that those who were refused together do not come
	// again together. Who asks again as soon as it is answered would otherwise
	// occupy the server with refusals alone. A server's timeouts go on meanwhile:
	// it is a few seconds at most. 0 or less: not at all.
	Refusal time.Duration

	// MaxWaiting is how many bytes may wait for, or half arrived from, all peers
	// together; beyond it those for whom most waits are cut off. 0 or less: no
	// limit.
	MaxWaiting int64

	// Trace, if set, is told what happens.
	Trace *Trace
}

// Trace observes a [Quota]. Its functions may be nil, are called from many
// goroutines, and must not wait.
type Trace struct {
	// LimitHit runs when a limit was reached: see [Limits].
	LimitHit func(limit string)
	// Refused runs then, too, and says who reached it: the network that counts as
	// one address, the zero one if there is none, and the user, "" if that is not
	// known.
	Refused func(limit string, address netip.Prefix, user string)
	// Reached runs when a peer reached a limit that others keep, see
	// [Peer.Reached].
	Reached func(stage, limit string, address netip.Prefix, user string)
	// Shed runs when a peer was cut off because too much waited for all.
	Shed func(bytes int)
}

// Default returns what the program allows if it is told nothing. The figures are
// what a person with a quick hand, a page with many rooms, a company behind one
// address and a busy room stay well below. MaxWaiting is a quarter of the memory
// limit, see [MemoryLimit].
func Default() Config {
	return Config{
		Connection: Rates{Events: Rate{500, 2000}, Publishes: Rate{200, 400}, Joins: Rate{100, 1000}, Reads: Rate{50, 200}},
		User:       Rates{Events: Rate{1000, 4000}, Publishes: Rate{500, 1000}, Joins: Rate{200, 2000}, Reads: Rate{200, 500}},
		Address:    Rates{Events: Rate{5000, 20_000}, Publishes: Rate{2000, 4000}, Joins: Rate{1000, 10_000}, Reads: Rate{500, 2000}},
		Room:       Rates{Publishes: Rate{1000, 2000}, Joins: Rate{5000, 50_000}},

		Handshakes:        Rate{2000, 10_000},
		AddressHandshakes: Rate{50, 500},
		MaxAddress:        2000,
		MaxUser:           200,
		Refusal:           time.Second,

		Exempt:     []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		MaxWaiting: MemoryLimit() / 4,
	}
}

const defaultMaxBusy = 100_000

// The limits by the names that [Exceeded] and [Trace] give them.
const (
	LimitHandshakes        = "handshakes"
	LimitAddressHandshakes = "address handshakes"
	LimitAddressMistakes   = "address mistakes"
	LimitAddressSessions   = "address sessions"
	LimitNetworkHandshakes = "network handshakes"
	LimitNetworkSessions   = "network sessions"
	LimitUserSessions      = "user sessions"
	LimitWaiting           = "waiting"
)

// Limits returns the names of all limits.
func Limits() []string {
	names := []string{LimitHandshakes, LimitAddressHandshakes, LimitAddressMistakes, LimitAddressSessions, LimitNetworkHandshakes, LimitNetworkSessions, LimitUserSessions, LimitWaiting}
	for _, of := range []string{ofConnection, ofUser, ofAddress, ofRoom} {
		for k := Event; k < kinds; k++ {
			if of != ofRoom || k == Publish || k == Join {
				names = append(names, of+" "+k.String())
			}
		}
	}
	return names
}

// Whose bucket was empty.
const (
	ofConnection = "connection"
	ofUser       = "user"
	ofAddress    = "address"
	ofRoom       = "room"
)

// Exceeded is the error of all methods here: the limit that was reached.
type Exceeded struct {
	Limit string        // its name, of [Limits]
	Text  string        // for the peer
	Wait  time.Duration // when to come again, 0 if nobody knows
}

// Error returns the text for the peer.
func (e *Exceeded) Error() string { return e.Text }

// Code is what programs are told of an [Exceeded].
const Code = "too_many_requests"

// Milliseconds returns Wait for the peer, at least 1 if there is one.
func (e *Exceeded) Milliseconds() int64 {
	if e.Wait <= 0 {
		return 0
	}
	return max(e.Wait.Milliseconds(), 1)
}
