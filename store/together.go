package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"castad/internal/group"
)

// together commits in one transaction what several callers want at the same moment. A caller gets an error only for what
// it wanted itself: a transaction that fails as a whole is made again for each caller by itself.
type together struct {
	db    *DB
	group group.Group[*share]
}

func (g *together) open(db *DB) {
	g.db = db
	g.group = group.Group[*share]{Lanes: mostLanes, Most: mostTasks, Fits: apart, Do: g.commit}
}

// apart keeps changes of one task out of the same transaction: each is to find what the one before has left.
func apart(shares []*share, s *share) bool {
	return s.taskID == "" || !slices.ContainsFunc(shares, func(other *share) bool { return other.taskID == s.taskID })
}

// share is what one caller wants of a transaction.
type share struct {
	ahead
	caller  context.Context
	do      func(tx *Tx) error
	settled chan error
}

const (
	// More transactions at once only share the same work out in smaller pieces: a small database does less with many writers
	// than with few (docs/performance.md).
	mostLanes = 1
	mostTasks = 64 // of one transaction
	// transactionTime bounds a transaction whose callers may all have gone. A database that is away answers with an error
	// long before; one that is paused doesn't.
	transactionTime = 2 * time.Minute
	// farewell is how long a caller whose context has ended still waits for a transaction that has begun: a claim that is
	// made without anybody's knowing holds its run until its lease ends.
	farewell = 10 * time.Second
)

// do runs what a caller wants in a transaction that others may share, and returns when it is committed, or with the
// error for which it isn't. It must stand being run again, and must not call the network. When ctx ends before it was
// begun, it isn't done.
func (g *together) do(ctx context.Context, read ahead, do func(tx *Tx) error) error {
	s := &share{ahead: read, caller: ctx, do: do, settled: make(chan error, 1)}
	g.group.Add(s)
	select {
	case err := <-s.settled:
		return err
	case <-ctx.Done():
	}
	if g.group.Remove(s) {
		return ctx.Err()
	}
	patience := time.NewTimer(farewell)
	defer patience.Stop()
	select {
	case err := <-s.settled:
		return err
	case <-patience.C: // it may or may not be done
		return ctx.Err()
	}
}

// commit brings shares to their ends: all in one transaction, and where that fails, each in one of its own.
func (g *together) commit(shares []*share) {
	ctx, cancel := context.WithTimeout(context.Background(), transactionTime)
	defer cancel()
	left := shares
	try := func() (err error) {
		left, err = g.once(ctx, left, false)
		return err
	}
	err := try()
	if seen := forget(left); transient(err) || seen && changed(err) {
		err = g.db.retried(ctx, try)
	}
	for _, s := range left {
		if errors.Is(err, errRefused) || err != nil && len(left) > 1 {
			go g.alone(s)
		} else {
			s.settled <- err
		}
	}
}

// forget has shares read again what some have seen before, and reports whether there are any.
func forget(shares []*share) bool {
	some := false
	for _, s := range shares {
		some, s.seen = some || s.seen != nil, nil
	}
	return some
}

// changed reports whether a transaction has failed because a task isn't as it was seen: an event has the number that was
// to be given, or somebody is changing the task now.
func changed(err error) bool { return duplicate(err) || sqlCode(err) == errLockNoWait }

// alone brings a share to its end in a transaction of its own, which nobody else waits for.
func (g *together) alone(s *share) {
	ctx, cancel := context.WithTimeout(context.Background(), transactionTime)
	defer cancel()
	s.seen = nil
	s.settled <- g.db.retried(ctx, func() error { _, err := g.once(ctx, []*share{s}, true); return err })
}

// run does what is wanted, unless nobody wants it any more.
func (s *share) run(tx *Tx) error {
	if err := s.caller.Err(); err != nil {
		return err
	}
	return s.do(tx)
}

// missed reports whether a task that should have been locked isn't.
func (tx *Tx) missed(taskID string) bool { return taskID != "" && tx.tasks[taskID] == nil }

// errRefused says that a share has failed after it had written something: nobody can use the transaction any more.
var errRefused = errors.New("one of those who share the transaction has failed")

// once commits shares in one transaction. One that fails before it has written anything is told so and left out, and one
// whose task somebody else has locked is left to a transaction of its own, unless alone. It returns the others, with the
// error that concerns them all.
func (g *together) once(ctx context.Context, shares []*share, alone bool) (left []*share, err error) {
	line, err := g.db.connect(ctx)
	if err != nil {
		return shares, err
	}
	defer line.end(ctx)
	parts, err := g.db.readAhead(ctx, line, shares, alone)
	if err != nil {
		return shares, err
	}
	for i := 0; i < len(shares); {
		s, tx := shares[i], parts[i]
		if alone || !tx.missed(s.taskID) {
			err := s.run(tx)
			switch {
			case err == nil:
				i++
				continue
			case alone || transient(err):
				return shares, err
			case tx.sql.wrote:
				return shares, errRefused
			}
			s.settled <- err
		} else {
			go g.alone(s)
		}
		shares, parts = slices.Delete(shares, i, i+1), slices.Delete(parts, i, i+1)
	}
	return shares, g.db.commit(ctx, line, parts)
}
