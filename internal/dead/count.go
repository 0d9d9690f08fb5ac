package dead

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"castad/events"
	"castad/internal/broker"
	"castad/store"
)

// Count is how many letters of a stage have a cause.
type Count struct {
	store.DeadCount
	OnStream bool // of messages that have no row
}

// Count counts the letters that nobody has dealt with, without reading the rows. f.Limit doesn't narrow it.
// Errors: ErrUnseen together with the counts of the rows.
func (o *Office) Count(ctx context.Context, f store.DeadFilter) ([]Count, error) {
	rows, err := o.DB.CountDead(ctx, f)
	if err != nil {
		return nil, err
	}
	counts := make([]Count, len(rows))
	for i, row := range rows {
		counts[i] = Count{DeadCount: row}
	}
	strays, err := o.countStrays(ctx, f)
	return append(counts, strays...), err
}

func (o *Office) countStrays(ctx context.Context, f store.DeadFilter) ([]Count, error) {
	refs, err := o.strays(ctx, f, "")
	if err != nil {
		return nil, err
	}
	var counts Counts
	for _, ref := range refs {
		l, err := o.read(ctx, ref)
		switch {
		case errors.Is(err, broker.ErrGone):
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrUnseen, err)
		case meets(l, f):
			counts.Add(l)
		}
	}
	return counts.Sorted(), nil
}

// Counts gathers letters one by one. The zero value is ready for use.
type Counts struct{ byKind map[kind]*store.DeadCount }

type kind struct {
	onStream bool
	stage    events.Stage
	cause    string
}

// Add counts one letter.
func (c *Counts) Add(l Letter) {
	key := kind{l.OnStream, l.Stage, l.Cause}
	n := c.byKind[key]
	if n == nil {
		n = &store.DeadCount{Stage: l.Stage, Cause: l.Cause, First: l.LastAt, Last: l.LastAt}
		if c.byKind == nil {
			c.byKind = map[kind]*store.DeadCount{}
		}
		c.byKind[key] = n
	}
	n.Letters++
	if l.LastAt.Before(n.First) {
		n.First = l.LastAt
	}
	if l.LastAt.After(n.Last) {
		n.Last = l.LastAt
	}
}

// Sorted returns the counts, those of rows first, by stage and cause.
func (c *Counts) Sorted() []Count {
	counts := make([]Count, 0, len(c.byKind))
	for key, n := range c.byKind {
		counts = append(counts, Count{DeadCount: *n, OnStream: key.onStream})
	}
	slices.SortFunc(counts, func(x, y Count) int {
		if x.OnStream != y.OnStream {
			return map[bool]int{true: 1, false: -1}[x.OnStream]
		}
		return cmp.Or(cmp.Compare(x.Stage, y.Stage), cmp.Compare(x.Cause, y.Cause))
	})
	return counts
}

// ParseTime reads an instant: RFC 3339 ("2026-11-23T08:00:00Z"), or how long before now it was ("90m", "2h30m", "3d").
// "" is the zero time.
func ParseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither an instant such as 2026-11-23T08:00:00Z nor a time ago such as 90m, 2h or 3d", text)
}
