// Package schema holds what clients send to JSON Schemas, by the names of
// events: those of Socket.IO clients, what the verb publish publishes, and what
// comes in by other doors.
//
// A [Checker] has rules, each with a schema of draft 2020-12 (another, if its
// "$schema" says so). All are compiled when they are loaded, and [New] lists all
// that is wrong with them. [Checker.Check] is what a verb.Desk and the doors are
// given as Check, [Checker.Middleware] is for a namespace. What an application
// emits itself is not checked.
//
// # What is slow
//
// To check takes time in proportion to the data and the rules that apply to it,
// and never more than Config.MaxSteps: beyond, the data is refused. Regular
// expressions are Go's, which take time in proportion to the text; expressions
// of ECMA 262 that Go does not have, as look-ahead, are a mistake in the schema.
// Nothing is fetched from the network: "$ref" leads to the same file or others
// beside it.
//
// # Errors
//
// A refusal has the code bad_data, the JSON pointer to what is wrong first, and
// words that may quote the schema and the data.
//
// May import: packet, hub, verb, tutti.
package schema
