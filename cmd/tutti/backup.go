package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/tutti-rt/tutti/hub/pebblehub"
)

func backupManual() *manual {
	return &manual{
		name: "backup", does: "copy the data of a server, running or not",
		synopsis: []string{"FOLDER TARGET"},
		about: `Copies the data folder of "tutti serve --data FOLDER" into TARGET, a folder that is empty or not there. A
server that is running with FOLDER goes on meanwhile, and writes the backup itself: TARGET is a path on its machine.
A backup holds all that was acknowledged before it was asked for. Bring it back with "tutti restore".`,
		examples: []example{{"tutti backup /var/lib/tutti /mnt/backup/monday", "While the server goes on:"}},
		see:      "tutti restore, docs/operating.md",
	}
}

// backup copies a data folder, whether a server is using it or not.
func backup(ctx context.Context, c call) int {
	folder, target, code := twoFolders(c, backupManual())
	if folder == "" {
		return code
	}
	if strings.Contains(folder, "://") {
		return fail(c, "backup", errors.New("backups are made on the server's machine: name its data folder"))
	}
	if err := makeBackup(ctx, c, folder, target); err != nil {
		return fail(c, "backup", err)
	}
	fmt.Fprintf(c.output, "backed up %s to %s\n", folder, target)
	return exitOK
}

func makeBackup(ctx context.Context, c call, folder, target string) error {
	if _, err := os.Stat(filepath.Join(folder, "FORMAT")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no data folder", folder) // opening it would make it one
	}
	whole, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	store, err := pebblehub.Open(folder, pebblehub.Config{Log: slog.New(slog.NewTextHandler(c.errors, nil)), SweepEvery: -1})
	switch {
	case errors.Is(err, pebblehub.ErrInUse):
		return askControl(ctx, folder, whole)
	case err != nil:
		return explainStore(folder, err)
	}
	return errors.Join(store.Backup(ctx, whole), store.Close())
}

// twoFolders reads the arguments of a command that takes two folders. Without
// them the call is over, and the exit code says how.
func twoFolders(c call, m *manual) (from, to string, code int) {
	a, code := m.begin(c)
	if a == nil {
		return "", "", code
	}
	if len(a.rest) != 2 || a.rest[0] == "" || a.rest[1] == "" {
		return "", "", m.misused(c, fmt.Errorf("want two folders, not %d", len(a.rest)))
	}
	return a.rest[0], a.rest[1], exitOK
}

func fail(c call, name string, err error) int {
	fmt.Fprintf(c.errors, "tutti %s: %v\n", name, err)
	return exitFailed
}
