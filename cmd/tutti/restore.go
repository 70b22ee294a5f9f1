package main

import (
	"context"
	"fmt"

	"github.com/tutti-rt/tutti/hub/pebblehub"
)

const restoreUsage = `usage: tutti restore SOURCE FOLDER

Makes the data folder FOLDER, which is empty or not there, from SOURCE, what
"tutti backup" has written. All of it is read: if SOURCE is damaged it says where
and leaves nothing behind. Clients that come back to the restored server are told
that they have missed messages, and read the histories again.
`

// restore makes a data folder of a backup.
func restore(ctx context.Context, c call) int {
	source, folder, code := twoFolders(c, "restore", restoreUsage)
	if source == "" {
		return code
	}
	if err := pebblehub.Restore(ctx, source, folder); err != nil {
		return fail(c, "restore", err)
	}
	fmt.Fprintf(c.output, "restored %s from %s\n", folder, source)
	return exitOK
}
