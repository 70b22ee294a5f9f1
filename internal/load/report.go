package load

import "io"

// WriteHTML writes a report.
func (r *Result) WriteHTML(w io.Writer) error { return nil }
