package tutti

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"slices"

	"github.com/tutti-rt/tutti/auth"
)

// A ledger is what was revoked at a time, in the order of revocationKey. Who asks
// for it is told page by page, and it is sorted once.
type ledger struct {
	all []auth.Revocation
	sum uint64
}

// A ledgerQuestion asks for what is revoked, behind After in the order of
// revocationKey, unless the sum of all is the same.
type ledgerQuestion struct {
	Sum   uint64 `json:"sum,string"`
	After string `json:"after"`
}

// A ledgerPage is a part of the answer.
type ledgerPage struct {
	Revoked []auth.Revocation `json:"revoked"`
	More    bool              `json:"more"`
}

// revocationKey orders revocations as [auth.Register.Revocations] does.
func revocationKey(v auth.Revocation) string {
	if v.Token != "" {
		return "t" + v.Token
	}
	return "u" + v.User
}

// sumOf is the same for the same revocations.
func sumOf(all []auth.Revocation) uint64 {
	h := fnv.New64a()
	var line []byte
	for _, v := range all {
		line = append(append(line[:0], revocationKey(v)...), 0)
		line = binary.BigEndian.AppendUint64(line, uint64(v.Since.UnixNano()))
		line = binary.BigEndian.AppendUint64(line, uint64(v.Until.UnixNano()))
		h.Write(line)
	}
	return h.Sum64()
}

// ledger returns what is revoked, for who asks from the beginning; and for who goes
// on, what somebody has begun to be told. What is revoked meanwhile all are told as
// it happens, who asks included.
func (l *ledgers) ledger(q ledgerQuestion) *ledger {
	if told := l.told.Load(); told != nil && q.After != "" {
		return told
	}
	l.collect.Lock()
	defer l.collect.Unlock()
	all := l.srv.users.Revocations()
	made := &ledger{all: all, sum: sumOf(all)}
	l.told.Store(made)
	return made
}

func (l *ledgers) page(q ledgerQuestion) (p ledgerPage) {
	told := l.ledger(q)
	if told.sum != q.Sum {
		p = told.page(q.After)
	}
	if !p.More {
		l.told.CompareAndSwap(told, nil) // who has yet to go on has it made anew
	}
	return p
}

// page returns what is behind a key.
func (l *ledger) page(after string) (p ledgerPage) {
	first, found := slices.BinarySearchFunc(l.all, after, func(v auth.Revocation, key string) int {
		return cmp.Compare(revocationKey(v), key)
	})
	if found {
		first++
	}
	size := 0
	for n, v := range l.all[first:] {
		const times, escaped = 200, 6 // as JSON: "\u0001"
		size += times + escaped*len(revocationKey(v))
		if n == ledgerPageSize || n > 0 && size > ledgerPageBytes {
			p.More = true
			break
		}
		p.Revoked = append(p.Revoked, v)
	}
	return p
}
