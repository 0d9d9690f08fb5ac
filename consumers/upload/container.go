package main

import (
	"context"
	"fmt"
	"time"

	"castad/internal/fault"
	"castad/providers/instagram"
	"castad/store"
)

// Containers are free and nobody sees them, so one that has failed is followed by another as long as that may help.
const (
	mostContainers = 5
	containerRest  = 15 * time.Second
	// Meta's fetcher has failed for everybody for hours before: the last of so many is made after about ten.
	mostFetches = 14
	fetchRest   = 5 * time.Minute
	longestRest = time.Hour

	dailyLimitRest = time.Hour // the window moves, so a post may leave it at any time
)

// spoilt gives a container up for the reason in failure, and says when the next may be made, if any.
func (i *Instagram) spoilt(ctx context.Context, container store.Job, failure error) error {
	f := fault.Of(failure)
	if err := i.DB.NoteFailed(ctx, container, f.Code, failure); err != nil {
		return err
	}
	most, rest := mostContainers, containerRest
	if f.Code == instagram.CodeUnfetched {
		most, rest = mostFetches, fetchRest
	}
	switch {
	case f.Kind == fault.Permanent:
		return failure
	case container.Try >= most:
		return fault.Stop(f.Code, fmt.Errorf("%d containers have failed, the last one so: %w", container.Try, f.Err))
	}
	return fault.Wait(time.Now().Add(min(rest<<(container.Try-1), longestRest)), f.Code, f.Err)
}

// room refuses a publication that the account has no room for today. Where the account doesn't tell, its refusal will.
func (i *Instagram) room(ctx context.Context) error {
	used, may, err := i.Client.PublishingLimit(ctx)
	if err == nil && may > 0 && used >= may {
		return fault.Wait(time.Now().Add(dailyLimitRest), "instagram_daily_limit", fmt.Errorf("%d of %d posts of a day are out", used, may))
	}
	return nil
}
