// Command compare runs "tutti bench" against Node's Socket.IO, Tutti and the
// floors in turn, and prints how they compare. scripts/bench.sh builds what it
// needs and says where it is.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A plan is what to run.
type plan struct {
	tutti, floor, node string // the program, the program, the folder of server.mjs
	serverCPU, loadCPU string // for taskset; "" pins nothing
	rounds             int
	quick              bool
	servers            []string
	patience           time.Duration // how long to wait for a calm machine
	only               *regexp.Regexp
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("compare: ")
	p := plan{}
	flag.StringVar(&p.tutti, "tutti", "bin/tutti", "the `program`")
	flag.StringVar(&p.floor, "floor", "", "the `program` of bench/floor")
	flag.StringVar(&p.node, "node", "bench/node", "the `folder` of server.mjs")
	flag.StringVar(&p.serverCPU, "server-cpu", "0", "the `core` of the server; empty pins nothing")
	flag.StringVar(&p.loadCPU, "load-cpu", "1", "the `core` of the generator")
	flag.IntVar(&p.rounds, "rounds", 3, "how many `rounds`, of which the median counts")
	flag.BoolVar(&p.quick, "quick", false, "small and short: to see that it works")
	servers := flag.String("servers", "node,tutti,floor-net,floor-epoll", "which `servers`")
	only := flag.String("only", "", "which cases, as a `pattern`")
	out := flag.String("json", "", "write all results to a `file`")
	picture := flag.String("svg", "", "draw the ratios into a `file`")
	revision := flag.String("revision", "", "what is measured, for the `record`")
	flag.DurationVar(&p.patience, "calm", 0, "how long to wait, before each measurement, until the machine has little else to do")
	more := flag.Bool("continue", false, "add to the file of -json what is measured")
	again := flag.String("print", "", "print the table of a `file` written before, and measure nothing")
	flag.Parse()
	p.servers = strings.Split(*servers, ",")
	p.only = regexp.MustCompile(*only)
	if _, err := exec.LookPath("taskset"); err != nil || runtime.NumCPU() < 2 {
		log.Print("one core, or no taskset: server and generator share what there is")
		p.serverCPU, p.loadCPU = "", ""
	}
	r := record{Revision: *revision, Started: time.Now(), Machine: machine()}
	if *again != "" {
		*out, *more = *again, true
	}
	if *more {
		if err := r.read(*out); err != nil {
			log.Fatal(err)
		}
	}
	if *again == "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		p.run(ctx, &r, *out)
	}
	fmt.Print(r.table())
	if *picture != "" {
		if err := os.WriteFile(*picture, []byte(r.chart()), 0o666); err != nil {
			log.Fatal(err)
		}
	}
}

// run measures all that is planned, one case after the other, every server in
// turn, and begins each round with another one.
func (p plan) run(ctx context.Context, r *record, out string) {
	for round := range p.rounds {
		for _, c := range cases(p.quick) {
			if !p.only.MatchString(c.name) {
				continue
			}
			servers := slices.Clone(p.servers)
			if c.after != "" {
				c.args = append(c.args, "--rate", fmt.Sprintf("%.6g", r.half(round, c.after)))
			} else {
				shift := round % len(servers)
				servers = append(servers[shift:], servers[:shift]...)
			}
			for _, server := range servers {
				if slices.Contains(c.not, server) {
					continue
				}
				if !p.calm(ctx) {
					log.Print("other programs take the cores")
				}
				m, err := p.measure(ctx, server, c)
				if ctx.Err() != nil {
					return
				}
				m.Round = round
				if err != nil {
					log.Printf("round %d, %s, %s: %v", round+1, c.name, server, err)
					continue
				}
				fmt.Fprintln(os.Stderr, m.line())
				r.Measurements = append(r.Measurements, m)
				if err := r.write(out); err != nil {
					log.Fatal(err)
				}
			}
		}
	}
}

// machine describes where this runs.
func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`).FindSubmatch(text); m != nil {
			model = string(m[1])
		}
	}
	kernel := ""
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(text))
	}
	return fmt.Sprintf("%d cores of %s, %s %s, %s", runtime.NumCPU(), model, runtime.GOOS, kernel, runtime.Version())
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
