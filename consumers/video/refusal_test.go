package main

import (
	"testing"

	"castad/internal/fault"
	"castad/providers/sandbox"
	"castad/store"
)

// Whatever surely wasn't accepted may be ordered again; the rest is never ordered again.
func TestVideo_RefusalsAreClassified(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	for name, row := range map[string]struct {
		fault sandbox.Fault
		kind  fault.Kind
		code  string
	}{
		"a wrong key":       {sandbox.Fault{What: "status", Status: 401}, fault.Permanent, "creatomate_key_refused"},
		"no credits left":   {sandbox.Fault{What: "credits", Contains: paidOnly}, fault.Permanent, "creatomate_no_credits"},
		"an order refused":  {sandbox.Fault{What: "status", Status: 400, Contains: paidOnly}, fault.Permanent, "creatomate_order_refused"},
		"too many orders":   {sandbox.Fault{What: "status", Status: 429, Contains: paidOnly}, fault.RateLimited, "creatomate_too_fast"},
		"the check is down": {sandbox.Fault{What: "status", Status: 503}, fault.Retryable, "creatomate_check_failed"},
		"the check is cut":  {sandbox.Fault{What: "cut"}, fault.Retryable, "creatomate_unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			r.claim = sung(t, r.DB, "vertical", 3)
			row.fault.Provider, row.fault.Count = "creatomate", 1
			r.Fail(t, row.fault)
			r.wantFault(t, row.kind, row.code)
			r.wantBilled(t, 0)
			r.work(t)
			r.wantBilled(t, 1)
		})
	}
}

func TestVideo_UnclearAnswersAreNeverPaidAgain(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	for name, broken := range map[string]sandbox.Fault{
		"a server error": {What: "status", Status: 500},
		"no answer":      {What: "cut"},
		"not an answer":  {What: "garbage"},
	} {
		t.Run(name, func(t *testing.T) {
			r.claim = sung(t, r.DB, "vertical", 3)
			broken.Provider, broken.Contains, broken.Count = "creatomate", paidOnly, 1
			r.Fail(t, broken)
			for range 3 { // the list doesn't have it, which proves nothing
				r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
			}
			r.wantBilled(t, 0)
			if err := r.DB.Decide(t.Context(), r.job(t).ID, ""); err != nil { // a person knows that it came to nothing
				t.Fatal(err)
			}
			r.work(t)
			r.wantBilled(t, 1)
		})
	}
}

func TestVideo_FailedRendersAreBoughtTwiceAtMost(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	r.Fail(t, sandbox.Fault{Provider: "creatomate", What: "failed", Contains: paidOnly, Count: 2})
	r.wantFault(t, fault.Retryable, "render_failed")
	r.wantFault(t, fault.Permanent, "render_failed")
	r.wantBilled(t, 2)

	r.claim = sung(t, r.DB, "vertical", 3) // another task has more luck
	r.Fail(t, sandbox.Fault{Provider: "creatomate", What: "failed", Contains: paidOnly, Count: 1})
	r.wantFault(t, fault.Retryable, "render_failed")
	failed := r.job(t)
	video := r.work(t)
	if job := r.job(t); job.Try != 2 || video.RenderID != job.ExternalID || video.RenderID == failed.ExternalID {
		t.Errorf("video of render %s, after %s had failed", video.RenderID, failed.ExternalID)
	}
	r.wantBilled(t, 2)
}

// A look that doesn't come through says nothing about the render.
func TestVideo_FailedLooksBuyNothing(t *testing.T) {
	t.Parallel()
	r := atVideo(t, sandbox.Durations{})
	for _, broken := range []sandbox.Fault{{What: "status", Status: 503}, {What: "cut"}, {What: "garbage"}} {
		broken.Provider, broken.Call, broken.Count = "creatomate", "read", 1
		r.Fail(t, broken)
		r.wantFault(t, fault.Retryable, "internal")
	}
	r.Fail(t, sandbox.Fault{Provider: "creatomate", Call: "read", What: "status", Status: 429, Count: 1})
	r.wantFault(t, fault.RateLimited, "creatomate_too_fast")
	r.work(t)
	r.wantBilled(t, 1)
}
