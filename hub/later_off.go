//go:build !later

package hub

// later says whether this build plays a later version.
const later = false
