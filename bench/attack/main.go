//go:build linux

// Attack measures how a well-behaved client fares while others attack the server
// at full speed from one address: its calls' round trips, quiet and under each
// kind of attack, against `tutti serve`.
//
//	go run ./bench/attack -tutti bin/tutti
//
// The attackers have a core, and the server has another. The client that is
// measured takes that of the server when it needs it, before everybody else
// (SCHED_FIFO, for which it has to be root), which is a hundredth of the time: on
// the attackers' it waits up to 4 ms, a tick of the kernel's, for one of them to
// leave the core, and that is not the server's doing. All of it has a network of its own,
// in which the kernel sends when there is something to send (cubic, as by default) and not
// when it thinks it is time (BBR, up to some milliseconds). See docs/limits.md.
//
// May import: nothing of ours.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	program := flag.String("tutti", "bin/tutti", "the program")
	span := flag.Duration("for", 10*time.Second, "how long each is measured")
	rounds := flag.Int("rounds", 3, "of which the median counts")
	only := flag.String("only", "", "the attacks to measure, separated by commas; all if it is empty")
	kind := flag.String("attack", "", "be an attacker of this kind (what the measurement starts)")
	target := flag.String("target", "", "whom to attack")
	flag.Parse()
	if *kind != "" {
		attack(*kind, *target)
		return
	}
	if os.Getenv(inside) == "" {
		os.Exit(alone())
	}
	names := kindNames()
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	if err := measure(*program, names, *span, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

// inside is set where the network is ours.
const inside = "TUTTI_ATTACK_INSIDE"

// alone runs this program again, in a network of its own.
func alone() int {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	again := exec.Command("unshare", append([]string{"--net", self}, os.Args[1:]...)...)
	again.Env = append(os.Environ(), inside+"=1", "GOMAXPROCS=1")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	if err := again.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "attack: unshare, which needs root:", err)
		return 1
	}
	return 0
}

// ready makes the network usable.
func ready() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("cubic"), 0); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return nil
}

// settings are the program's own, but that the attackers can name an address.
var settings = []string{"--open=room:*", "--relay=echo", "--trusted-proxies=127.0.0.1", "--auth-anonymous=true", "--memory=/", "--log-level=error"}

func measure(program string, names []string, span time.Duration, rounds int) error {
	if err := ready(); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	server := onCore("0", append([]string{"chrt", "--other", "0", program, "serve", "--listen=" + address}, settings...)...)
	server.Stdout, server.Stderr = io.Discard, os.Stderr
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		_ = server.Process.Kill() // it is over
		_ = server.Wait()
	}()
	if err := first("0"); err != nil {
		return err
	}
	client, err := call(address)
	if err != nil {
		return err
	}
	names = append([]string{quiet}, names...)
	halves, tails := map[string][]time.Duration{}, map[string][]time.Duration{}
	for range rounds { // of all of them, since the machine is not the same all the time
		for _, name := range names {
			half, tail, err := client.under(name, address, span)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			halves[name], tails[name] = append(halves[name], half), append(tails[name], tail)
		}
	}
	fmt.Println("| attack | p50 | p99 | p99, times the quiet one |\n| --- | --- | --- | --- |")
	calm := median(tails[quiet])
	for _, name := range names {
		half, tail := median(halves[name]), median(tails[name])
		fmt.Printf("| %s | %v | %v | %.1f |\n", name, half.Round(10*time.Microsecond), tail.Round(10*time.Microsecond), float64(tail)/float64(calm))
	}
	return nil
}

// quiet is no attack.
const quiet = "none"

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)/2]
}

// onCore returns a command that runs on one core.
func onCore(core string, line ...string) *exec.Cmd {
	return exec.Command("taskset", append([]string{"-c", core}, line...)...)
}

// first puts this process on a core, before everybody else there.
func first(core string) error {
	self := fmt.Sprint(os.Getpid())
	if said, err := exec.Command("taskset", "-a", "-c", "-p", core, self).CombinedOutput(); err != nil {
		return fmt.Errorf("taskset: %w: %s", err, said)
	}
	if said, err := exec.Command("chrt", "--all-tasks", "--fifo", "--pid", "10", self).CombinedOutput(); err != nil {
		return fmt.Errorf("chrt, which needs root: %w: %s", err, said)
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// A caller is the client that is measured.
type caller struct {
	w  *wire
	id int
}

// call connects, as soon as the server is there.
func call(address string) (*caller, error) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		w, err := socket(address, "")
		if err == nil {
			return &caller{w: w}, nil
		}
		if time.Now().After(deadline) {
			return nil, err
		}
		<-time.After(50 * time.Millisecond)
	}
}

// under measures round trips of calls, 100 a second, while an attack runs, and
// returns their median and 99th percentile.
func (c *caller) under(name, address string, span time.Duration) (half, tail time.Duration, err error) {
	if name != quiet {
		self, err := os.Executable()
		if err != nil {
			return 0, 0, err
		}
		attacker := onCore("1", "chrt", "--other", "0", self, "-attack", name, "-target", address)
		attacker.Stderr = os.Stderr
		if err := attacker.Start(); err != nil {
			return 0, 0, err
		}
		defer func() {
			_ = attacker.Process.Kill() // it never ends itself
			_ = attacker.Wait()
		}()
		<-time.After(time.Second) // until it is at full speed
	}
	var took []time.Duration
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(span); time.Now().Before(end); <-tick.C {
		began := time.Now()
		if err := c.roundTrip(); err != nil {
			return 0, 0, fmt.Errorf("the well-behaved client: %w", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], nil
}

func (c *caller) roundTrip() error {
	c.id++
	if err := c.w.send(text, fmt.Appendf(nil, `42%d["presence",{"room":"room:a","limit":1}]`, c.id)); err != nil {
		return err
	}
	for want := fmt.Sprintf("43%d[", c.id); ; {
		data, err := c.w.read()
		if err != nil || strings.HasPrefix(data, want) {
			return err
		}
	}
}

// client makes the attackers' requests.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
