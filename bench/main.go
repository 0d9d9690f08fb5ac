// Command bench measures what carrying tasks through six durable stages costs: CastAD's own programs beside a bare
// ceiling and beside what people would otherwise take, in one run, rounds interleaved. docs/performance.md says how to
// read its table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	asynqueue "castad/bench/asynq"
	"castad/bench/castad"
	"castad/bench/ceiling"
	riverqueue "castad/bench/river"
	"castad/bench/system"
	"castad/bench/watermill"
)

// systems are what can be compared, by the name in the table.
var systems = map[string]system.System{
	"asynq":          asynqueue.System{},
	"castad":         castad.System{},
	"castad+paid":    castad.System{Paid: true},
	"ceiling":        ceiling.System{},
	"ceiling+outbox": ceiling.System{Outbox: true},
	"river":          riverqueue.System{},
	"watermill":      watermill.System{},
}

// roles are what this program is when a system starts it again.
var roles = merged(map[string]system.Role{system.BrokerRole: system.Broker}, asynqueue.Roles, castad.Roles, ceiling.Roles, riverqueue.Roles, watermill.Roles)

func merged(all ...map[string]system.Role) map[string]system.Role {
	roles := map[string]system.Role{}
	for _, some := range all {
		maps.Copy(roles, some)
	}
	return roles
}

type settings struct {
	names  []string
	rounds int
	tasks  int
	flight int
	dir    string
	json   string
	reads  bool
	queued string
	wait   int
}

func main() {
	system.Play(roles)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (settings, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	all := strings.Join(slices.Sorted(maps.Keys(systems)), ",")
	names := flags.String("systems", all, "which to compare")
	s := settings{}
	flags.IntVar(&s.rounds, "rounds", 3, "of each system, interleaved; the table has the medians")
	flags.IntVar(&s.tasks, "tasks", 2000, "of one round")
	flags.IntVar(&s.flight, "flight", 128, "tasks under way at once")
	flags.StringVar(&s.dir, "dir", "", "for the stores and logs of the rounds; a temporary folder when empty")
	flags.BoolVar(&s.reads, "reads", false, "measure polling (with wrk) and watching instead")
	flags.StringVar(&s.queued, "queued", "", "measure CastAD with so many tasks queued instead: 1000,10000,100000")
	flags.IntVar(&s.wait, "waiting", 0, "measure CastAD with so many tasks that wait for a provider instead: 10000")
	flags.StringVar(&s.json, "json", "", "file for all measurements")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.names = strings.Split(*names, ",")
	for _, name := range s.names {
		if systems[name] == nil {
			return s, fmt.Errorf("there is no system %q; take some of %s", name, all)
		}
	}
	if s.rounds < 1 || s.flight < 1 || s.tasks < s.flight {
		return s, errors.New("there must be a round, a task in flight, and no fewer tasks than that")
	}
	return s, nil
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	base, err := os.MkdirTemp(s.dir, "castad-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the rounds: %w", err)
	}
	defer os.RemoveAll(base)
	if s.reads {
		return reads(ctx, base)
	}
	if s.wait > 0 {
		return waiting(ctx, base, s.wait)
	}
	if s.queued != "" {
		return backlogs(ctx, base, s.queued)
	}
	measured := map[string][]Round{}
	for n := range s.rounds {
		for _, name := range s.names {
			dir := filepath.Join(base, fmt.Sprintf("%s-%d", name, n+1))
			round, err := measure(ctx, systems[name], dir, s)
			if err != nil {
				return fmt.Errorf("round %d of %s: %w", n+1, name, err)
			}
			measured[name] = append(measured[name], round)
			fmt.Fprintf(os.Stderr, "round %d of %s: %s\n", n+1, name, round)
			os.RemoveAll(dir)
		}
	}
	if err := keep(s.json, measured); err != nil {
		return err
	}
	fmt.Print(table(s.names, measured))
	return nil
}
