package pebblehub

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tutti-rt/tutti/hub"
)

// Files of a data directory beside Pebble's, which are in the folder "log".
const (
	formatFile   = "FORMAT"     // the format's version; only there once the database is
	creatingFile = "FORMAT.new" // a data directory is being made
	unsyncedFile = "UNSYNCED"
	lockFile     = "LOCK"
	logFolder    = "log"
)

// Version is the format of a data directory. A change that an older program
// would misread raises it. A newer program opens older formats and raises their
// version when it first writes something the older could not read; it never
// lowers one. Downgrading is restoring a backup.
const version = 1

// A FormatError says that a directory was written by a program that keeps its
// data in another way.
type FormatError struct {
	Dir            string
	Found, Known   string
	notTuttisFiles bool
}

// Error names both versions.
func (e *FormatError) Error() string {
	if e.notTuttisFiles {
		return fmt.Sprintf("pebblehub: %s is not empty and not a data directory (it has no file %s)", e.Dir, formatFile)
	}
	return fmt.Sprintf("pebblehub: %s has format %s, this program knows format %s", e.Dir, e.Found, e.Known)
}

// A host is what a store knows of the machine it runs on. Tests bring their
// own.
type host struct {
	fs   vfs.FS
	boot func() (string, error) // names the time since the machine started
	now  func() time.Time
	// memTable replaces memTableSize, if it is not 0.
	memTable uint64
}

func thisHost() host {
	return host{fs: vfs.Default, now: time.Now, boot: func() (string, error) {
		id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if errors.Is(err, fs.ErrNotExist) {
			// Not Linux: every start counts as that of the machine, which costs
			// an epoch where none was due but never keeps one wrongly.
			return "", nil
		}
		return strings.TrimSpace(string(id)), err
	}}
}

// checkFormat says whether the directory holds a store (true), is empty or was
// never finished (false), or is none of ours (an error).
func checkFormat(fs vfs.FS, dir string) (bool, error) {
	names, err := fs.List(dir)
	if err != nil {
		return false, fmt.Errorf("list data directory: %w", err)
	}
	var others int
	for _, name := range names {
		switch name {
		case formatFile:
			return true, readFormat(fs, dir)
		case creatingFile:
			return false, nil
		case lockFile, "lost+found", creatingFile + ".tmp", unsyncedFile + ".tmp":
		default:
			others++
		}
	}
	if others > 0 {
		return false, &FormatError{Dir: dir, notTuttisFiles: true}
	}
	return false, nil
}

func readFormat(fs vfs.FS, dir string) error {
	text, err := readFile(fs, fs.PathJoin(dir, formatFile))
	if err != nil {
		return fmt.Errorf("read format: %w", err)
	}
	found := strings.TrimSpace(string(text))
	if n, err := strconv.Atoi(strings.TrimPrefix(found, "tutti ")); err != nil || n != version {
		return &FormatError{Dir: dir, Found: strconv.Quote(found), Known: formatText()}
	}
	return nil
}

func formatText() string { return fmt.Sprintf("%q", fmt.Sprintf("tutti %d", version)) }

// beginFormat marks a directory as one that is being made.
func beginFormat(fs vfs.FS, dir string) error {
	return writeFile(fs, dir, creatingFile, fmt.Sprintf("tutti %d\n", version))
}

// finishFormat marks it as made. From then on a missing database is damage.
func finishFormat(fs vfs.FS, dir string) error {
	if err := fs.Rename(fs.PathJoin(dir, creatingFile), fs.PathJoin(dir, formatFile)); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// unsynced is what was committed without waiting for the disk since the store
// was opened, and in which life of the machine. It is on the disk before the
// first such commit is made.
type unsynced struct {
	boot string
	// namespaces are those with messages among it. nil: nobody knows, take all.
	namespaces []string
	// restored: the directory was made from a backup, so that positions after
	// its own may have been given out.
	restored bool
}

// write replaces the file. Its lines are quoted and their sum comes first.
func (u *unsynced) write(fs vfs.FS, dir string) error {
	lines := []string{u.boot, strconv.FormatBool(u.restored)}
	if u.namespaces == nil {
		lines = append(lines, "all")
	} else {
		lines = append(lines, "some")
	}
	return writeFile(fs, dir, unsyncedFile, seal(append(lines, u.namespaces...)))
}

func seal(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(strconv.Quote(l) + "\n")
	}
	return fmt.Sprintf("%08x\n%s", crc32.ChecksumIEEE([]byte(b.String())), b.String())
}

// readUnsynced returns nil if there is no such file. If it can't be understood
// it is taken for the worst.
func readUnsynced(fs vfs.FS, dir string) (*unsynced, error) {
	text, err := readFile(fs, fs.PathJoin(dir, unsyncedFile))
	if isNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", unsyncedFile, err)
	}
	return parseUnsynced(string(text)), nil
}

func parseUnsynced(text string) *unsynced {
	worst := &unsynced{boot: "unknown", restored: true}
	sum, rest, _ := strings.Cut(text, "\n")
	if sum != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(rest))) {
		return worst
	}
	var lines []string
	for l := range strings.Lines(rest) {
		s, err := strconv.Unquote(strings.TrimSuffix(l, "\n"))
		if err != nil {
			return worst
		}
		lines = append(lines, s)
	}
	if len(lines) < 3 {
		return worst
	}
	u := &unsynced{boot: lines[0], restored: lines[1] == "true"}
	if lines[2] == "some" {
		u.namespaces = append([]string{}, lines[3:]...)
	}
	return u
}

// lost says whether some of it may not have reached the disk.
func (u *unsynced) lost(boot string) bool { return u.restored || boot == "" || u.boot != boot }

// cutLog drops from Pebble's last log what follows a record that did not reach
// the disk. Pebble writes down how far a log was synced, to tell a log that was
// torn by a crash from one that was damaged; where we skipped syncs those
// notes are wrong, and a torn log would be taken for a damaged one. It is
// called after the machine went down with such a log.
//
// The earlier logs were synced before the last was begun (see [disk]). Where one
// of them can't be read it is damaged, and Pebble says so: without what follows
// there it would be whole, and a hole before the last.
func cutLog(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	last, lastName := uint64(0), ""
	for _, name := range names {
		number, ok := strings.CutSuffix(name, ".log")
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(number, 10, 64); err == nil && n >= last {
			last, lastName = n, name
		}
	}
	if lastName == "" {
		return nil
	}
	if err := cut(fs, dir, lastName, last); err != nil {
		return fmt.Errorf("cut %s: %w", lastName, err)
	}
	return nil
}

func cut(fs vfs.FS, dir, name string, number uint64) error {
	text, err := readFile(fs, fs.PathJoin(dir, name))
	if err != nil {
		return err
	}
	r := newLogReader(record.NewReader, bytes.NewReader(text), number)
	whole := int64(0)
	for {
		part, err := r.Next()
		if err == nil {
			_, err = io.Copy(io.Discard, part)
		}
		if err == io.EOF {
			return nil // read to its end: nothing to cut
		}
		if err != nil {
			break
		}
		whole = r.Offset()
	}
	return writeFile(fs, dir, name, string(text[:whole]))
}

// newLogReader calls record.NewReader, whose second parameter has a type that
// can't be named outside Pebble.
func newLogReader[N ~uint64](open func(io.Reader, N) *record.Reader, r io.Reader, number uint64) *record.Reader {
	return open(r, N(number))
}

// damaged makes what went wrong with reading a [hub.ErrDamaged].
func damaged(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", hub.ErrDamaged, what, err)
}

// isSystem says whether an error is the operating system's, other than that
// something is not there.
func isSystem(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number) && !isNotExist(err)
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// writeFile makes or replaces a file so that after a crash it is the old or the
// new one.
func writeFile(fs vfs.FS, dir, name, text string) error {
	temporary := fs.PathJoin(dir, name+".tmp")
	f, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(temporary, fs.PathJoin(dir, name)); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// makeDir makes a directory and what is missing above it, so that a loss of
// power does not take it away with all that is synced in it.
func makeDir(files vfs.FS, dir string) error {
	parent := files.PathDir(dir)
	if _, err := files.Stat(parent); isNotExist(err) && parent != dir {
		if err := makeDir(files, parent); err != nil {
			return err
		}
	}
	if err := files.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Also if it was there: who made it may have been stopped right then. A
	// parent that isn't ours to read was not made by us.
	if err := syncDir(files, parent); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
