package chat

// For the fuzzers.
var (
	CleanName = cleanName
	CleanText = cleanText
	Cut       = cut
)
