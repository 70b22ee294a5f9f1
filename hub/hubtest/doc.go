// Package hubtest is the contract of hub's stores as tests: every store passes
// [TestStore], and a new one is finished when it does.
//
// The suite asks what can be asked of any store: order, atomicity, paging,
// limits, erasing, and what is there after it was closed and opened again. What
// a store must do when its disk fails or its machine stops depends on how it
// keeps things; its own tests ask that.
//
// May import: hub, packet.
package hubtest
