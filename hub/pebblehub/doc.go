// Package pebblehub keeps rooms with memory in a directory, on Pebble: an
// embedded key-value store whose commits share fsyncs.
//
// [Open] takes the directory for itself until [Store.Close]. One Pebble
// database holds all namespaces; see keys.go for what lies where.
//
// # What an acknowledgement means
//
// A commit that asks for Sync returns after the disk said that it has it. Any
// other returns when the operating system has it: it survives kill -9, and is
// lost with the last seconds when the machine loses its power. What survives
// is a prefix of what was committed, over all namespaces, always.
//
// If the machine stopped and messages of a namespace were not on the disk yet,
// the namespace begins a new epoch, for nobody can tell which of them members
// have received. What was not synced is written down before the first such
// commit, together with the machine's boot id: after the mere death of the
// process nothing is lost and the epoch stays. Positions are reserved on the
// disk before they are used, so none is given out twice either way.
//
// # When the disk fails
//
// The first error of writing is the last: from then on every Commit returns
// [hub.ErrFailed], [Store.Failed] is closed and [Store.Err] says why. Nothing
// is tried again, because after a failed fsync nobody knows what is on the
// disk. What was committed before can be read. A new start reads what is there
// and finds out.
//
// What can't be read because it was changed is [hub.ErrDamaged], with the
// file's name. One kind of damage can't be told from a commit that was torn by
// a loss of power: to the last records of the log of a process that did not
// close its store.
//
// # Limits of histories
//
// Reading honours a limit exactly. What exceeds it is deleted a little later:
// with some of the next messages of the room, or, if only its age tells, by a
// goroutine that looks at all rooms now and then. What was erased is removed
// from the files by the same goroutine, except from logs, which are
// overwritten in turn.
//
// May import: hub, packet, internal.
package pebblehub
