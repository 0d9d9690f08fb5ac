package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"castad/internal/fault"
	"castad/internal/worker"
	"castad/prompts"
	"castad/providers"
	"castad/store"
)

// Codes of what a post waits for.
const (
	scheduled  = "scheduled"
	publishing = "platform_working"
)

// A target that fails while others are still to come is tried again by itself, and given up after so many tries; the last
// one's failures are the run's, and counted there.
const (
	mostTries  = 5
	firstRest  = 30 * time.Second
	unsureRest = time.Minute
)

// begun returns the posts of a run with their text.
func begun(c store.Claim, seo prompts.SEO) []store.SocialUpload {
	uploads := make([]store.SocialUpload, len(c.Task.Publish.V))
	for i, target := range c.Task.Publish.V {
		uploads[i] = store.SocialUpload{TaskID: c.TaskID, Revision: c.Revision, UserUUID: c.Task.UserUUID, Platform: target.Platform,
			Status: store.UploadPending, Title: seo.Title, Description: seo.Description, Tags: store.JSON[[]string]{V: seo.Keywords}, Privacy: "public"}
		if target.Privacy != "" {
			uploads[i].Privacy = target.Privacy
		}
		if target.PublishAt != nil {
			uploads[i].PublishAt = sql.Null[time.Time]{V: *target.PublishAt, Valid: true}
		}
	}
	return uploads
}

func postOf(c store.Claim, u store.SocialUpload) providers.Post {
	return providers.Post{Title: u.Title, Description: u.Description, Tags: u.Tags.V, Language: c.Task.Language,
		Privacy: u.Privacy, Mark: fmt.Sprintf("%s-%d", c.TaskID, c.Revision)}
}

// step is what a look at one target has come to.
type step struct {
	rest time.Duration // until the next look, when the post is still to come
	err  error         // for which it is
}

// publish brings every post as far as it goes now. One that has to wait or fails holds up no other: how far each is stands
// in its row, and the run ends when the last one has ended.
func (s *Stage) publish(ctx context.Context, c store.Claim, video store.Video, uploads []store.SocialUpload) (worker.Outcome[[]store.SocialUpload], error) {
	var none worker.Outcome[[]store.SocialUpload]
	before := slices.Clone(uploads)
	if anew := c.Attempt == 1 && !c.Resumed; anew {
		reopen(uploads)
	}
	steps := make([]step, len(uploads))
	for i := range uploads {
		steps[i] = s.advance(ctx, c, video, &uploads[i])
		if err := steps[i].err; errors.Is(err, store.ErrLeaseLost) || ctx.Err() != nil {
			return none, err
		}
	}
	outcome, err := settled(ctx, uploads, steps)
	if (err != nil || outcome.Rest > 0) && !reflect.DeepEqual(before, uploads) {
		if err := s.DB.NoteUploads(ctx, c, uploads); err != nil {
			return none, err
		}
	}
	return outcome, err
}

// reopen gives what has failed another chance, because somebody has asked for it.
func reopen(uploads []store.SocialUpload) {
	for i := range uploads {
		if u := &uploads[i]; u.Status == store.UploadFailed {
			u.Status, u.Tries, u.DueAt, u.Code, u.Reason = store.UploadPending, 0, sql.Null[time.Time]{}, "", ""
		}
	}
}

// advance takes one post a step further.
func (s *Stage) advance(ctx context.Context, c store.Claim, video store.Video, u *store.SocialUpload) step {
	if u.Status != store.UploadPending {
		return step{}
	}
	if rest := time.Until(u.PublishAt.V); u.PublishAt.Valid && rest > 0 {
		u.Code, u.Reason = scheduled, "Publishing is planned for "+u.PublishAt.V.UTC().Format(time.RFC3339)+"."
		return step{rest: rest}
	}
	if rest := time.Until(u.DueAt.V); u.DueAt.Valid && rest > 0 {
		return step{rest: rest, err: fault.Wait(u.DueAt.V, u.Code, errors.New(u.Reason))}
	}
	u.DueAt = sql.Null[time.Time]{}
	published, rest, err := s.Platforms[u.Platform].Publish(ctx, c, video, postOf(c, *u))
	switch {
	case err != nil:
		return failing(u, fmt.Errorf("publish on %s: %w", u.Platform, err))
	case rest > 0:
		u.Code, u.Reason = publishing, u.Platform+" is working on the video."
		return step{rest: rest}
	}
	u.Status, u.Tries, u.Code, u.Reason = store.UploadPublished, 0, published.Code, published.Note
	u.ExternalID, u.URL = published.ID, published.URL
	if published.Privacy != "" {
		u.Privacy = published.Privacy
	}
	return step{}
}

// failing notes a failure, and when the post is tried again, unless it never is.
func failing(u *store.SocialUpload, err error) step {
	f := fault.Of(err)
	u.Code, u.Reason = f.Code, f.Error()
	switch f.Kind {
	case fault.Permanent:
		u.Status = store.UploadFailed
		return step{}
	case fault.RateLimited:
		u.DueAt = sql.Null[time.Time]{V: f.Until, Valid: true}
		return step{rest: max(time.Until(f.Until), time.Second), err: err}
	case fault.Uncertain:
		return step{rest: unsureRest, err: err}
	}
	return step{rest: firstRest << u.Tries, err: err}
}

// settled says what the posts' steps mean for their run.
func settled(ctx context.Context, uploads []store.SocialUpload, steps []step) (worker.Outcome[[]store.SocialUpload], error) {
	open, last := 0, 0
	for i, u := range uploads {
		if u.Status == store.UploadPending {
			open, last = open+1, i
		}
	}
	switch {
	case open == 1 && steps[last].err != nil:
		return worker.Outcome[[]store.SocialUpload]{}, steps[last].err
	case open == 1:
		return worker.Wait[[]store.SocialUpload](steps[last].rest, uploads[last].Code, uploads[last].Reason)
	case open > 1:
		return soonest(ctx, uploads, steps)
	}
	for _, u := range uploads {
		if u.Status == store.UploadFailed {
			return worker.Outcome[[]store.SocialUpload]{}, fault.Stop(u.Code, fmt.Errorf("publish on %s: %s", u.Platform, u.Reason))
		}
	}
	return worker.Done(uploads)
}

// soonest waits for the post that can go on first. Passing trouble of one is counted in its row.
func soonest(ctx context.Context, uploads []store.SocialUpload, steps []step) (worker.Outcome[[]store.SocialUpload], error) {
	first := -1
	for i := range uploads {
		u := &uploads[i]
		if u.Status != store.UploadPending {
			continue
		}
		if err := steps[i].err; err != nil && !u.DueAt.Valid {
			zerolog.Ctx(ctx).Warn().Err(err).Str("platform", u.Platform).Str("code", u.Code).Msg("post has to wait")
			postpone(u, fault.Of(err).Kind, steps[i].rest)
		}
		if u.Status == store.UploadPending && (first < 0 || steps[i].rest < steps[first].rest) {
			first = i
		}
	}
	return worker.Wait[[]store.SocialUpload](max(steps[first].rest, time.Second), uploads[first].Code, uploads[first].Reason)
}

// postpone lets a post rest after passing trouble, and gives it up after too much of it.
func postpone(u *store.SocialUpload, kind fault.Kind, rest time.Duration) {
	u.DueAt = sql.Null[time.Time]{V: time.Now().Add(rest).UTC(), Valid: true}
	if kind != fault.Retryable {
		return
	}
	if u.Tries++; u.Tries >= mostTries {
		u.Status, u.DueAt = store.UploadFailed, sql.Null[time.Time]{}
	}
}
