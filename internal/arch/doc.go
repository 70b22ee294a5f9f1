// Package arch holds the rules of the house as tests: what may import what, how
// long a function may grow, where a goroutine may start, what every exported
// name must say of itself. It contains no code that ships.
//
// Each rule is a function from the parsed tree to findings, run on this
// repository by TestHouse and on a small wrong program by TestRules. A rule
// that stands in the way of better code is changed here, with its reason, and
// not worked around there.
package arch
