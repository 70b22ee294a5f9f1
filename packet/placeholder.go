package packet

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
)

// A placeholder stands in a JSON text for an attachment. Whatever way a peer
// wrote it, inside the system it has one form, and attachment i of [Args] is
// held by the i-th placeholder of the text and no other. From that follows:
//
//   - Placeholders are found by searching for the bytes of marker. They cannot
//     appear inside a string, where the quotes would be escaped.
//   - The attachments of an argument, or of a run of arguments, are a run of
//     the attachments of all.
//   - No text can multiply an attachment: a megabyte sent once and referred to
//     ten thousand times would be written out ten thousand times by every form
//     that inlines binary.
//
// Args without attachments hold no placeholder: an object that looks like one
// is plain data there.
const marker = `{"_placeholder":true,"num":`

func appendPlaceholder(dst []byte, num int) []byte {
	dst = append(dst, marker...)
	dst = strconv.AppendInt(dst, int64(num), 10)
	return append(dst, '}')
}

// nextPlaceholder finds the first placeholder of text and its extent.
func nextPlaceholder(text []byte) (from, to int, ok bool) {
	from = bytes.Index(text, []byte(marker))
	if from < 0 {
		return 0, 0, false
	}
	to = from + len(marker)
	for text[to] != '}' {
		to++
	}
	return from, to + 1, true
}

// appendRenumbered appends text with its placeholders numbered from first on.
func appendRenumbered(dst, text []byte, first int) []byte {
	for {
		from, to, ok := nextPlaceholder(text)
		if !ok {
			return append(dst, text...)
		}
		dst = append(dst, text[:from]...)
		dst = appendPlaceholder(dst, first)
		first++
		text = text[to:]
	}
}

// appendInlined appends text with every placeholder replaced by its attachment
// in the form {"$binary":"<base64>"}.
func appendInlined(dst, text []byte, attachments [][]byte) []byte {
	for _, data := range attachments {
		from, to, ok := nextPlaceholder(text)
		if !ok {
			break
		}
		dst = append(dst, text[:from]...)
		dst = append(dst, `{"$binary":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, data)
		dst = append(dst, `"}`...)
		text = text[to:]
	}
	return append(dst, text...)
}

// binder rewrites the placeholders of a peer's text into the one form.
type binder struct {
	text  []byte // compact and valid
	out   []byte
	count int   // attachments there are
	nums  []int // the peer's numbers, in the order of the text
	fault string
}

const faultAttachments = "illegal attachments"

// bindPlaceholders returns compact text with its placeholders in the one form, and
// for each of them the peer's number. The number must be that of one of count
// attachments and not be used twice: CVE-2022-2421 was a number that was not
// checked.
func bindPlaceholders(text []byte, count int) (out []byte, nums []int, fault string) {
	b := binder{text: text, count: count, out: make([]byte, 0, len(text))}
	for i := 0; i < len(text) && b.fault == ""; {
		if text[i] == ',' {
			b.out = append(b.out, ',')
			i++
		}
		i = b.value(i)
	}
	used := slices.Sorted(slices.Values(b.nums))
	if b.fault == "" && len(slices.Compact(used)) != len(b.nums) {
		b.fault = faultAttachments
	}
	return b.out, b.nums, b.fault
}

// value copies the value at i and returns the index after it.
func (b *binder) value(i int) int {
	switch b.text[i] {
	case '{':
		return b.object(i)
	case '[':
		b.out = append(b.out, '[')
		for i++; b.text[i] != ']' && b.fault == ""; {
			if b.text[i] == ',' {
				b.out = append(b.out, ',')
				i++
			}
			i = b.value(i)
		}
		b.out = append(b.out, ']')
		return i + 1
	}
	end := valueEnd(b.text, i)
	b.out = append(b.out, b.text[i:end]...)
	return end
}

// object copies an object, or writes the placeholder that it turns out to be.
// The last of several members of one name counts, as with JSON.parse.
func (b *binder) object(i int) int {
	start, held := len(b.out), len(b.nums)
	var placeholder bool
	var num []byte
	b.out = append(b.out, '{')
	for i++; b.text[i] != '}' && b.fault == ""; {
		if b.text[i] == ',' {
			b.out = append(b.out, ',')
			i++
		}
		colon := stringEnd(b.text, i)
		name := b.text[i:colon]
		b.out = append(b.out, b.text[i:colon+1]...)
		i = b.value(colon + 1)
		switch value := b.text[colon+1 : i]; {
		case unquotedIs(name, "_placeholder"):
			placeholder = string(value) == "true"
		case unquotedIs(name, "num"):
			num = value
		}
	}
	b.out = append(b.out, '}')
	if placeholder && b.fault == "" {
		b.out, b.nums = b.out[:start], b.nums[:held]
		b.bind(num)
	}
	return i + 1
}

func (b *binder) bind(num []byte) {
	n, ok := parseInt(num)
	if !ok || n >= uint64(b.count) {
		b.fault = faultAttachments
		return
	}
	b.out = appendPlaceholder(b.out, len(b.nums))
	b.nums = append(b.nums, int(n))
}

// parseInt reads digits and nothing else, at most 10 of them, whatever they
// are in front of: CVE-2020-36049 was a number of a hundred million digits.
func parseInt(digits []byte) (n uint64, ok bool) {
	if len(digits) == 0 || len(digits) > 10 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}
