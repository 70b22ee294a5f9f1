// Command scale shows that cost grows as the work does: what a connection, a
// delivery, a heartbeat, a join and a leave cost while the number of members
// goes from a hundred to a million, in one process, on a network in memory. It
// is to be built with the tag memnet, see internal/memnet; without, connections
// have a goroutine each, as those by TLS do.
//
// Each number of members has a process of its own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tutti-rt/tutti/internal/load"
)

// A record is all that was measured.
type record struct {
	Revision string    `json:"revision"`
	Started  time.Time `json:"started"`
	Machine  string    `json:"machine"`
	Points   []point   `json:"points"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("scale: ")
	sizes := flag.String("members", "100,1000,10000,100000,1000000", "how many `members`, one number after the other")
	effort := flag.Duration("effort", 3*time.Second, "how long each thing is measured")
	out := flag.String("json", "", "write what was measured to a `file`")
	picture := flag.String("svg", "", "draw it into a `file`")
	page := flag.String("doc", "", "write the table between <!-- scale --> and <!-- /scale --> of a `file`")
	revision := flag.String("revision", "", "what is measured, for the `record`")
	again := flag.String("print", "", "print a `file` written before, and measure nothing")
	one := flag.Int("one", 0, "measure so many `members` in this process, and print JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *one > 0 {
		p, err := measure(ctx, *one, *effort)
		if err := errors.Join(err, json.NewEncoder(os.Stdout).Encode(p)); err != nil {
			log.Fatal(err)
		}
		return
	}
	r := record{Revision: *revision, Started: time.Now(), Machine: load.Machine()}
	var err error
	if *again != "" {
		err = r.read(*again)
	} else {
		err = r.run(ctx, *sizes, *effort)
	}
	if err == nil {
		err = r.tell(*out, *picture, *page)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// run measures every size, in a process of its own.
func (r *record) run(ctx context.Context, sizes string, effort time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 {
			return fmt.Errorf("-members: %q is no number of members", size)
		}
		cmd := exec.CommandContext(ctx, self, "-one", size, "-effort", effort.String())
		cmd.Stderr = os.Stderr
		text, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%d members: %w", n, err)
		}
		var p point
		if err := json.Unmarshal(text, &p); err != nil {
			return fmt.Errorf("%d members: %w", n, err)
		}
		fmt.Fprintf(os.Stderr, "%9d members: %5.0f bytes each, %.2f µs per delivery, %.2f per heartbeat, %.0f s\n", n, p.Bytes, p.Delivery, p.Heartbeat, p.Seconds)
		r.Points = append(r.Points, p)
	}
	return nil
}

// tell prints the table, and writes the files that are asked for.
func (r *record) tell(out, picture, page string) error {
	fmt.Print(r.table())
	var errs []error
	if out != "" {
		errs = append(errs, r.write(out))
	}
	if picture != "" {
		errs = append(errs, os.WriteFile(picture, []byte(load.Sheet(r.plots()...)), 0o666))
	}
	if page != "" {
		errs = append(errs, load.WriteSection(page, "scale", r.table()))
	}
	return errors.Join(errs...)
}

func (r *record) read(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, r)
}

func (r *record) write(file string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o666)
}

// A line of the table, and of a plot.
type line struct {
	name   string
	of     func(point) float64
	digits int
}

func lines() []line {
	return []line{
		{"memory per connection, bytes", func(p point) float64 { return p.Bytes }, 0},
		{"CPU per delivery, µs", func(p point) float64 { return p.Delivery }, 2},
		{"of which the order is taken, wall clock, µs", func(p point) float64 { return p.Hand }, 2},
		{"until the last member has a message, ms", func(p point) float64 { return p.Sweep }, 2},
		{"CPU per heartbeat, µs", func(p point) float64 { return p.Heartbeat }, 2},
		{"joining the room, µs", func(p point) float64 { return p.Join }, 2},
		{"leaving it, µs", func(p point) float64 { return p.Leave }, 2},
		{"CPU per member who comes: handshake and join, µs", func(p point) float64 { return p.Come }, 1},
		{"CPU per member who goes, µs", func(p point) float64 { return p.Go }, 1},
		{"goroutines, in all", func(p point) float64 { return float64(p.Goroutines) }, 0},
		{"pauses of the garbage collector, p99, ms", func(p point) float64 { return p.PauseP99 }, 2},
		{"… the longest, ms", func(p point) float64 { return p.PauseMax }, 2},
		{"a whole collection, beside the work, s", func(p point) float64 { return p.GCSeconds }, 2},
	}
}

// table returns what was measured as Markdown.
func (r *record) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, revision %s.\n\n| members |", r.Started.Format(time.DateOnly), r.Machine, r.Revision)
	for _, p := range r.Points {
		fmt.Fprintf(&b, " %s |", thousands(p.Members))
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(r.Points)) + "\n")
	for _, l := range lines() {
		fmt.Fprintf(&b, "| %s |", l.name)
		for _, p := range r.Points {
			fmt.Fprintf(&b, " %.*f |", l.digits, l.of(p))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// plots returns what the table says, over the number of members.
func (r *record) plots() []load.Plot {
	x := make([]float64, len(r.Points))
	ticks := make([]load.Tick, len(r.Points))
	for i, p := range r.Points {
		x[i], ticks[i] = float64(i), load.Tick{At: float64(i), Label: thousands(p.Members)}
	}
	curve := func(name string, of func(point) float64) load.Curve {
		c := load.Curve{Name: name}
		for _, p := range r.Points {
			c.Y = append(c.Y, of(p))
		}
		return c
	}
	plot := func(title, unit string, lines ...load.Curve) load.Plot {
		return load.Plot{Title: title, Unit: unit, X: x, Ticks: ticks, Lines: lines, Dots: true}
	}
	return []load.Plot{
		plot("Memory per connection, by members", " B", curve("memory", func(p point) float64 { return p.Bytes })),
		plot("CPU per delivery", " µs", curve("delivery", func(p point) float64 { return p.Delivery })),
		plot("Joining and leaving a room that all are in", " µs", curve("join", func(p point) float64 { return p.Join }), curve("leave", func(p point) float64 { return p.Leave })),
		plot("CPU per heartbeat", " µs", curve("heartbeat", func(p point) float64 { return p.Heartbeat })),
		plot("CPU per member who comes, and who goes", " µs", curve("comes", func(p point) float64 { return p.Come }), curve("goes", func(p point) float64 { return p.Go })),
		plot("Pauses of the garbage collector", " ms", curve("p99", func(p point) float64 { return p.PauseP99 }), curve("longest", func(p point) float64 { return p.PauseMax })),
	}
}
