package dead

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"castad/events"
	"castad/internal/broker"
	"castad/store"
)

// Page is a part of the list.
type Page struct {
	Letters []Letter
	Next    string // DeadFilter.After of the next page; "" at the end
	Unseen  error  // ErrUnseen with its cause, on the last page of rows, when messages without a row couldn't be listed
}

const (
	pageSize = 500
	// onStream begins the cursor of pages that list messages without a row, which follow those of rows.
	onStream = "stream:"
)

// List returns a page of the letters that nobody has dealt with: the rows, oldest first, then the messages that have no
// row. Of the second only those of the page are read.
func (o *Office) List(ctx context.Context, f store.DeadFilter) (Page, error) {
	if f.Limit <= 0 || f.Limit > pageSize {
		f.Limit = pageSize
	}
	var page Page
	after, streaming := strings.CutPrefix(f.After, onStream)
	if !streaming {
		rows, err := o.DB.ListDead(ctx, f)
		if err != nil {
			return Page{}, err
		}
		for _, row := range rows {
			page.Letters = append(page.Letters, Letter{Dead: row})
		}
		if len(rows) == f.Limit {
			page.Next = rows[len(rows)-1].ID
			return page, nil
		}
		after = ""
	}
	return page, o.addStrays(ctx, f, after, &page)
}

// addStrays fills a page up with messages that have no row, of ids greater than after.
func (o *Office) addStrays(ctx context.Context, f store.DeadFilter, after string, page *Page) error {
	refs, err := o.strays(ctx, f, after)
	if errors.Is(err, ErrUnseen) {
		page.Unseen = err
		return nil
	}
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if len(page.Letters) == f.Limit {
			page.Next = onStream + after
			return nil
		}
		letter, err := o.read(ctx, ref)
		switch {
		case errors.Is(err, broker.ErrGone):
		case err != nil:
			page.Unseen = fmt.Errorf("%w: %w", ErrUnseen, err)
			return nil
		case meets(letter, f):
			page.Letters = append(page.Letters, letter)
		}
		after = ref.DeadID
	}
	return nil
}

// strays returns what is on the dead stream and has no row, sorted by id.
func (o *Office) strays(ctx context.Context, f store.DeadFilter, after string) ([]events.DeadRef, error) {
	there, err := o.refs(ctx, events.DeadRef{Stage: f.Stage, TaskID: f.TaskID})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnseen, err)
	}
	there = slices.DeleteFunc(there, func(ref events.DeadRef) bool { return ref.DeadID <= after })
	var strays []events.DeadRef
	for refs := range slices.Chunk(there, pageSize) {
		ids := make([]string, len(refs))
		for i, ref := range refs {
			ids[i] = ref.DeadID
		}
		known, err := o.DB.DeadStates(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, ref := range refs {
			if known[ref.DeadID] == "" {
				strays = append(strays, ref)
			}
		}
	}
	return strays, nil
}

// meets is the filter for what the database can't filter; stage and task are in the subject.
func meets(l Letter, f store.DeadFilter) bool {
	return (f.Cause == "" || l.Cause == f.Cause) && (f.Since.IsZero() || !l.LastAt.Before(f.Since)) &&
		(f.Before.IsZero() || l.LastAt.Before(f.Before))
}

// Each calls do for the letters of the filter, a page at a time, at most f.Limit of them (0 for all). It goes by ids, so
// letters that do deals with, or that are filed meanwhile, don't disturb it. The first error of do ends it.
// Errors: ErrUnseen after all others were done.
func (o *Office) Each(ctx context.Context, f store.DeadFilter, do func(Letter) error) error {
	left := f.Limit
	for {
		f.Limit = pageSize
		if left > 0 {
			f.Limit = min(left, pageSize)
		}
		page, err := o.List(ctx, f)
		if err != nil {
			return err
		}
		for _, letter := range page.Letters {
			if err := do(letter); err != nil {
				return err
			}
		}
		if left > 0 {
			if left -= len(page.Letters); left == 0 {
				return nil
			}
		}
		if page.Next == "" {
			return page.Unseen
		}
		f.After = page.Next
	}
}
