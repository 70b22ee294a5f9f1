package packet

// Scan validates one JSON value of at most limit levels and returns why it is
// refused, "" if it is not.
func Scan(text []byte, limit int) (fault string) {
	s := scanner{text: text, limit: limit}
	s.one()
	return s.fault
}

// Compact returns valid JSON without white space between tokens.
func Compact(text []byte) string { return string(compact(nil, text)) }

// Elements returns the text of a, placeholders included.
func Elements(a Args) string { return string(a.elements) }

// Quote returns s as a JSON string.
func Quote(s string) string { return string(appendQuoted(nil, s)) }

// Unquote returns what a JSON string stands for.
func Unquote(text string) string { return unquote([]byte(text)) }
