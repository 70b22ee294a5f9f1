//go:build !linux

package load

import "context"

// Run returns [ErrUnsupported], or the mistakes in o.
func Run(_ context.Context, o Options) (*Result, error) {
	if _, _, err := o.withDefaults(); err != nil {
		return nil, err
	}
	return nil, ErrUnsupported
}
