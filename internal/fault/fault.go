// Package fault names the kinds of failure that the pipeline tells apart.
//
// A failure is classified once, at the edge where it is known what it means (a
// provider's client, the store), and decided upon once, by internal/worker. In
// between it is only wrapped. Start with Error and the four constructors.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what the worker does with a failed attempt.
type Kind uint8

const (
	// Retryable is passing or unknown trouble: again after a backoff. A plain error is this.
	Retryable Kind = iota
	// RateLimited is a refusal that names a time: again at Until; the attempt is given back.
	RateLimited
	// Permanent means that no attempt will help: the stage fails with Code.
	Permanent
	// Uncertain means that a paid call may have been accepted: never pay again on our own.
	Uncertain
)

// String returns the kind's name as logs and metrics carry it.
func (k Kind) String() string {
	switch k {
	case RateLimited:
		return "rate_limited"
	case Permanent:
		return "permanent"
	case Uncertain:
		return "uncertain"
	default:
		return "retryable"
	}
}

// Error is a classified failure.
type Error struct {
	Kind  Kind
	Code  string    // stable, lower snake case, for people and dashboards: "place_not_found"
	Until time.Time // RateLimited only; UTC
	Err   error     // for the log; its text carries no secret
}

// Error returns the code followed by the cause's text.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Code
	}
	return fmt.Sprintf("%s: %v", e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retry says that the same call may be made again after a backoff: it was surely refused, or never left.
// The payment gate treats only classified errors as refusals, so a paid call that may be repeated has to say so with this.
func Retry(code string, err error) error { return &Error{Kind: Retryable, Code: code, Err: err} }

// Wait says that the call was refused until a time that the provider named.
func Wait(until time.Time, code string, err error) error {
	return &Error{Kind: RateLimited, Code: code, Until: until.UTC(), Err: err}
}

// Stop says that no further attempt can succeed.
func Stop(code string, err error) error { return &Error{Kind: Permanent, Code: code, Err: err} }

// Unsure says that a paid call may have been accepted although no answer came.
func Unsure(code string, err error) error { return &Error{Kind: Uncertain, Code: code, Err: err} }

// Of returns the classification of err: that of the outermost Error in its chain, or
// a Retryable one with code "internal" for a plain error. It returns nil for nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Retryable, Code: "internal", Err: err}
}

// Classified reports whether somebody has said what err means.
func Classified(err error) bool {
	_, ok := errors.AsType[*Error](err)
	return ok
}
