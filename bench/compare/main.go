// Command compare runs "tutti bench" against Node's Socket.IO, Tutti and the
// floors in turn, and prints how they compare. scripts/bench.sh builds what it
// needs and says where it is.
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
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tutti-rt/tutti/internal/load"
)

// A plan is what to run.
type plan struct {
	tutti, floor, node string // the program, the program, the folder of server.mjs
	data               string // where durable servers have their folders
	serverCPU, loadCPU string // for taskset; "" pins nothing
	rounds             int
	quick              bool
	servers            []string
	only               *regexp.Regexp
	budget             time.Duration // no round begins that would exceed it

	patience time.Duration // how long to wait for a calm machine before a measurement
	waiting  time.Duration // and in all; what is left of it
}

// files are where the results come from and go.
type files struct {
	json, svg, doc string
	again, against string
	more           bool
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("compare: ")
	p, f := plan{}, files{}
	r := record{Started: time.Now(), Machine: load.Machine()}
	p.flags()
	flag.StringVar(&f.json, "json", "", "write all results to a `file`")
	flag.BoolVar(&f.more, "continue", false, "add to the file of -json what is measured")
	flag.StringVar(&f.again, "print", "", "print the table of a `file` written before, and measure nothing")
	flag.StringVar(&f.against, "against", "", "compare the ratios with those of a `file` written before")
	flag.StringVar(&f.svg, "svg", "", "draw the ratios into a `file`")
	flag.StringVar(&f.doc, "doc", "", "write the tables between <!-- bench --> and <!-- /bench --> of a Markdown `file`, and performance.svg beside it")
	flag.StringVar(&r.Revision, "revision", "", "what is measured, for the `record`")
	servers := flag.String("servers", "node,tutti,tutti-durable,floor-net,floor-epoll", "which `servers`")
	only := flag.String("only", "", "which cases, as a `pattern`")
	flag.Parse()
	p.servers = strings.Split(*servers, ",")
	p.only = regexp.MustCompile(*only)
	if err := p.do(&r, f); err != nil {
		log.Fatal(err)
	}
}

// flags declares what belongs to the plan.
func (p *plan) flags() {
	flag.StringVar(&p.tutti, "tutti", "bin/tutti", "the `program`")
	flag.StringVar(&p.floor, "floor", "", "the `program` of bench/floor")
	flag.StringVar(&p.node, "node", "bench/node", "the `folder` of server.mjs")
	flag.StringVar(&p.data, "data", "", "the `folder` in which durable servers have theirs; it must be on a disk (that of temporary files)")
	flag.StringVar(&p.serverCPU, "server-cpu", "0", "the `core` of the server; empty pins nothing")
	flag.StringVar(&p.loadCPU, "load-cpu", "1", "the `core` of the generator")
	flag.IntVar(&p.rounds, "rounds", 3, "how many `rounds`, of which the median counts")
	flag.BoolVar(&p.quick, "quick", false, "small and short: to see that it works")
	flag.DurationVar(&p.budget, "budget", 25*time.Minute, "begin no round that would take longer than this in all")
	flag.DurationVar(&p.patience, "calm", 0, "how long to wait, before each measurement, until the machine has little else to do")
	flag.DurationVar(&p.waiting, "calm-all", 3*time.Minute, "how long to wait for that in all")
}

// do measures, or reads what was measured, and tells it.
func (p *plan) do(r *record, f files) error {
	if _, err := exec.LookPath("taskset"); err != nil || runtime.NumCPU() < 2 {
		log.Print("one core, or no taskset: server and generator share what there is")
		p.serverCPU, p.loadCPU = "", ""
	}
	if f.again != "" {
		f.json, f.more = f.again, true
	}
	if f.more {
		if err := r.read(f.json); err != nil {
			return err
		}
	}
	if f.again == "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := p.run(ctx, r, f.json); err != nil {
			return err
		}
	}
	return r.tell(f)
}

// tell prints the tables, and writes the files that are asked for.
func (r *record) tell(f files) error {
	fmt.Print(r.tables())
	var errs []error
	if f.doc != "" {
		errs = append(errs, load.WriteSection(f.doc, "bench", r.tables()))
		if f.svg == "" {
			f.svg = filepath.Join(filepath.Dir(f.doc), "performance.svg")
		}
	}
	if f.svg != "" {
		errs = append(errs, os.WriteFile(f.svg, []byte(r.chart()), 0o666))
	}
	if f.against != "" {
		var before record
		err := before.read(f.against)
		if err == nil {
			fmt.Print("\n" + r.against(&before))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// run measures all that is planned, one case after the other, every server in
// turn, and begins each round with another one.
func (p *plan) run(ctx context.Context, r *record, out string) error {
	began := time.Now()
	for round := range p.rounds {
		if took := time.Since(began); round > 0 && took+took/time.Duration(round) > p.budget {
			log.Printf("%d rounds have taken %v: there is no time for another", round, took.Round(time.Second))
			break
		}
		for _, c := range cases(p.quick) {
			if !p.only.MatchString(c.name) {
				continue
			}
			servers := p.serving(c, round)
			if c.after != "" {
				c.args = append(c.args, "--rate", fmt.Sprintf("%.6g", r.half(round, c.after)))
			}
			for _, server := range servers {
				m, err := p.patiently(ctx, server, c)
				if ctx.Err() != nil {
					return nil // what there is counts
				}
				m.Round = round
				if err != nil {
					log.Printf("round %d, %s, %s: %v", round+1, c.name, server, err)
					continue
				}
				fmt.Fprintln(os.Stderr, m.line())
				r.Measurements = append(r.Measurements, m)
				if err := r.write(out); err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprintf(os.Stderr, "measured for %v\n", time.Since(began).Round(time.Second))
	return nil
}

// serving returns the servers of a case in the order of a round.
func (p plan) serving(c scenario, round int) []string {
	servers := slices.DeleteFunc(slices.Clone(p.servers), func(server string) bool {
		return !slices.Contains(c.servers, server) || round > 0 && slices.Contains(c.once, server)
	})
	if c.after != "" || len(servers) == 0 {
		return servers
	}
	shift := round % len(servers)
	return append(servers[shift:], servers[:shift]...)
}

// patiently measures when the machine is calm, and once again if it fails.
func (p *plan) patiently(ctx context.Context, server string, c scenario) (measurement, error) {
	if !p.calm(ctx) {
		log.Print("other programs take the cores")
	}
	m, err := p.measure(ctx, server, c)
	if err != nil && ctx.Err() == nil {
		log.Printf("%s, %s: once again, after: %v", c.name, server, err)
		m, err = p.measure(ctx, server, c)
	}
	return m, err
}

// write stores the record, if it has a place.
func (r *record) write(name string) error {
	if name == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o666)
}

func (r *record) read(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, r)
}
