package engineio_test

import (
	"os"
	"testing"

	"github.com/tutti-rt/tutti/internal/leak"
)

// TestMain fails if a goroutine stays behind.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }
