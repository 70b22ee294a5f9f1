package main

import (
	"context"
	"fmt"

	"github.com/tutti-rt/tutti/hub/pebblehub"
)

func restoreManual() *manual {
	return &manual{
		name: "restore", does: "make a data folder from a backup",
		synopsis: []string{"SOURCE FOLDER"},
		about: `Makes the data folder FOLDER, which is empty or not there, from SOURCE, what "tutti backup" has written. All of it
is read: if SOURCE is damaged it says where and leaves nothing behind. Clients that come back to the restored
server are told that they have missed messages, and read the histories again.`,
		examples: []example{{"tutti restore /mnt/backup/monday /var/lib/tutti", "While no server has the folder:"}},
		see:      "tutti backup, docs/operating.md",
	}
}

// restore makes a data folder of a backup.
func restore(ctx context.Context, c call) int {
	source, folder, code := twoFolders(c, restoreManual())
	if source == "" {
		return code
	}
	if err := pebblehub.Restore(ctx, source, folder); err != nil {
		return fail(c, "restore", err)
	}
	fmt.Fprintf(c.output, "restored %s from %s\n", folder, source)
	return exitOK
}
