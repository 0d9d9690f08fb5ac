package main

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"castad/internal/servers"
)

// stages are what runs, by the order in which it is ended: programs, the sandbox, the broker, the database, Redis.
type stages struct {
	mu      sync.Mutex
	keepers [5][]*keeper
}

const (
	programs = iota
	sandboxes
	brokers
	databases
	caches
)

func (s *stages) add(order int, k *keeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepers[order] = append(s.keepers[order], k)
}

// halt ends everything in order, those of one order together.
func (s *stages) halt() {
	for order := range s.keepers {
		var all sync.WaitGroup
		for _, k := range s.keepers[order] {
			all.Go(k.halt)
		}
		all.Wait()
	}
}

// kill ends everything at once; halt still has to be called.
func (s *stages) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, group := range s.keepers {
		for _, k := range group {
			k.stop()
			k.kill()
		}
	}
}

// start starts everything and returns when all of it is ready, or when something fails.
func (d *dev) start(ctx context.Context) error {
	d.out.line("starting; the state is in " + string(d.at))
	dsn, adminDSN, err := d.servers(ctx)
	if err != nil {
		return err
	}
	d.values = d.environment(dsn)
	if err := d.at.writeEnv(d.left(d.values, adminDSN)); err != nil {
		return err
	}
	if err := d.keep(ctx, sandboxes, d.sandboxService()); err != nil {
		return err
	}
	var group errgroup.Group
	group.Go(func() error { return d.keep(ctx, programs, d.apiService()) })
	for _, name := range append([]string{"relay"}, consumers...) {
		group.Go(func() error { return d.keep(ctx, programs, d.programService(name)) })
	}
	return group.Wait()
}

// servers starts the servers and fetches the media tools, all at once, and returns the database's addresses.
func (d *dev) servers(ctx context.Context) (dsn, adminDSN string, err error) {
	group, ctx := errgroup.WithContext(ctx)
	if d.own["CASTAD_NATS_URL"] == "" {
		group.Go(func() error { return d.keep(ctx, brokers, d.brokerService()) })
	}
	if d.own["CASTAD_REDIS_URL"] == "" {
		group.Go(func() error { return d.keep(ctx, caches, d.redisService()) })
	}
	group.Go(func() (err error) {
		dsn, adminDSN, err = d.database(ctx)
		return err
	})
	if !d.quick {
		group.Go(func() (err error) {
			d.media, err = d.cache("media").Media(ctx)
			if err != nil {
				err = fmt.Errorf("%w; or start with --quick, which needs none of it", err)
			}
			return err
		})
	}
	err = group.Wait()
	return dsn, adminDSN, err
}

// keep starts a service and remembers it, so that the end of dev ends it.
func (d *dev) keep(ctx context.Context, order int, s service) error {
	// Not ended by ctx: the order in which things end is halt's.
	k := newKeeper(context.WithoutCancel(ctx), s, d.out)
	d.stages.add(order, k)
	if err := k.first(ctx); err != nil {
		return fmt.Errorf("start %s: %w%s", s.name, err, d.lastLines(s.name))
	}
	return nil
}

func (d *dev) cache(name string) servers.Cache {
	return servers.Cache{Say: func(line string) { d.out.note(name, line) }}
}

// program describes a process whose output goes to its log.
func (d *dev) program(path, name string, args []string, env ...map[string]string) program {
	return program{path: path, args: args, env: processEnv(d.environ, env...), log: d.at.log(name), hold: d.claim.Inherited()}
}

// service makes a program what a keeper starts.
func (p program) service() func(context.Context) (running, error) {
	return func(context.Context) (running, error) {
		started, err := p.start()
		if err != nil {
			return nil, err
		}
		return started, nil
	}
}

// ownProgram describes a process of this very program.
func (d *dev) ownProgram(name string, args ...string) program {
	return d.program(d.self, name, append([]string{name}, args...))
}
