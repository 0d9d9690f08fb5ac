package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"castad/internal/fault"
	"castad/prompts"
	"castad/providers/sandbox"
	"castad/store"
)

// rewritten is a good report with something wrong in it.
func rewritten(t *testing.T, change func(report *prompts.Report)) string {
	t.Helper()
	report, err := prompts.DecodeReport(good(t, business()))
	if err != nil {
		t.Fatal(err)
	}
	change(&report)
	raw, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// An answer that breaks the rules goes back to the model once.
func TestModel_BrokenRulesGoBackOnce(t *testing.T) {
	t.Parallel()
	r := atIntel(t, sandbox.Durations{})
	for name, bad := range map[string]string{
		"too few personas": rewritten(t, func(report *prompts.Report) { report.Personas = report.Personas[:1] }),
		"other language": rewritten(t, func(report *prompts.Report) {
			report.Brand.Concept = strings.Repeat("A lovely stay in the woods. ", 40)
		}),
		"absurd score":  rewritten(t, func(report *prompts.Report) { report.SellingPoints[0].Score = 1_000_000 }),
		"no hashtags":   rewritten(t, func(report *prompts.Report) { report.Keywords[0] = "가평 펜션" }),
		"empty text":    rewritten(t, func(report *prompts.Report) { report.Brand.Tagline = " \n" }),
		"other form":    `{"brand_identity":"숲"}`,
		"no end":        string(good(t, business())[:200]),
		"no JSON":       "죄송합니다. 보고서를 쓸 수 없습니다.",
		"two documents": string(good(t, business())) + "{}",
		"far too long":  rewritten(t, func(report *prompts.Report) { report.Market.Position = strings.Repeat("숲", 30_000) }),
	} {
		t.Run(name, func(t *testing.T) {
			paid := r.paid(t).Calls
			r.claim = r.crawled(t, owner, business())
			r.desk.next(bad)
			sameJSON(t, good(t, business()), r.finish(t).Result)
			r.wantPaid(t, paid+2)

			r.claim = r.crawled(t, owner, business())
			r.desk.next(bad, bad)
			for range 2 { // and isn't asked for again
				r.wantFault(t, fault.Permanent, "answer_rejected")
			}
			r.wantPaid(t, paid+4)
		})
	}
}

// Both answers have cost something, also where nothing came of them.
func TestModel_RejectedAnswersAreCharged(t *testing.T) {
	t.Parallel()
	r := atIntel(t, sandbox.Durations{})
	bad := rewritten(t, func(report *prompts.Report) { report.Personas = nil })
	r.desk.next(bad, bad)
	r.wantFault(t, fault.Permanent, "answer_rejected")
	r.wantCharged(t, 2)
}

// wantCharged checks that our book has so many jobs, and of them what the model says it was paid.
func (r *rig) wantCharged(t *testing.T, jobs int) {
	t.Helper()
	all, err := r.DB.ListJobs(t.Context(), r.claim.TaskID)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, job := range all {
		sum += job.Charged.V
	}
	if want := r.paid(t).Micros; len(all) != jobs || sum != want {
		t.Errorf("%d jobs are charged with %d, the model was paid %d", len(all), sum, want)
	}
}

func TestModel_LostAnswerIsFoundInItsConversation(t *testing.T) {
	t.Parallel()
	r := atIntel(t, sandbox.Durations{})
	r.fail(t, sandbox.Fault{What: "lost", Count: 1})
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	sameJSON(t, good(t, business()), r.finish(t).Result)
	r.wantPaid(t, 1)
}

// While the answer is being made nobody sees it, and it isn't asked for again; the service itself would refuse that.
func TestModel_LostAnswerThatIsStillWritten(t *testing.T) {
	t.Parallel()
	r := atIntel(t, sandbox.Durations{Answer: time.Hour})
	r.fail(t, sandbox.Fault{What: "lost", Count: 1})
	for range 3 {
		r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	}
	if n := r.requests(answers); n != 1 {
		t.Errorf("asked %d times", n)
	}
	r.later(t, 2*time.Hour)
	for range 2 {
		r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	}
	r.wantPaid(t, 1)
}

// What shows nothing after the longest time that an answer takes came to nothing; it is asked for in the same place.
func TestModel_CallThatCameToNothing(t *testing.T) {
	t.Parallel()
	r := atIntel(t, sandbox.Durations{})
	r.fail(t, sandbox.Fault{What: "cut", Count: 1})
	for range 3 {
		r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	}
	r.later(t, r.Author.Longest/2)
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	r.wantPaid(t, 0)
	r.later(t, r.Author.Longest/2)
	r.later(t, time.Minute) // for the call itself
	r.finish(t)
	if n := r.requests(conversations); n != 1 {
		t.Errorf("%d conversations were made", n)
	}
	r.wantPaid(t, 1)
}

func TestModel_RefusalsAreClassified(t *testing.T) {
	t.Parallel()
	r := atIntel(t, sandbox.Durations{})
	for name, row := range map[string]struct {
		fault sandbox.Fault
		kind  fault.Kind
		code  string
	}{
		"a wrong key":     {sandbox.Fault{What: "status", Status: 401}, fault.Permanent, "openai_key_refused"},
		"a bad prompt":    {sandbox.Fault{What: "status", Status: 400}, fault.Permanent, "openai_prompt_refused"},
		"no money left":   {sandbox.Fault{What: "quota"}, fault.Permanent, "openai_no_credits"},
		"too fast":        {sandbox.Fault{What: "status", Status: 429, RetryAfter: "30"}, fault.RateLimited, "openai_rate_limited"},
		"overloaded":      {sandbox.Fault{What: "status", Status: 503}, fault.RateLimited, "openai_overloaded"},
		"no conversation": {sandbox.Fault{Call: "conversation", What: "status", Status: 500}, fault.Retryable, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			paid := r.paid(t).Calls
			r.claim = r.crawled(t, owner, business())
			row.fault.Count = 1
			r.fail(t, row.fault)
			if f := r.wantFault(t, row.kind, row.code); row.kind == fault.RateLimited && !f.Until.After(time.Now()) {
				t.Errorf("again at %v", f.Until)
			}
			r.wantPaid(t, paid)
			r.finish(t)
			r.wantPaid(t, paid+1)
		})
	}
}

// A refusal would be repeated; an answer that ended badly is bought twice at most.
func TestModel_BadEnds(t *testing.T) {
	t.Parallel()
	for what, code := range map[string]string{"failed": "model_failed", "incomplete": "model_answer_cut"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := atIntel(t, sandbox.Durations{})
			r.fail(t, sandbox.Fault{What: what, Count: 3})
			r.wantFault(t, fault.Retryable, code)
			r.wantFault(t, fault.Permanent, code)
			r.wantPaid(t, 2)
			r.wantCharged(t, 2)
			r.claim = r.crawled(t, owner, business()) // another task has more luck
			r.wantFault(t, fault.Retryable, code)
			r.finish(t)
			r.wantPaid(t, 4)
		})
	}
	t.Run("refusal", func(t *testing.T) {
		t.Parallel()
		r := atIntel(t, sandbox.Durations{})
		r.fail(t, sandbox.Fault{What: "refusal", Count: 1})
		for range 2 {
			r.wantFault(t, fault.Permanent, "model_refused")
		}
		r.wantPaid(t, 1)
		r.wantCharged(t, 1)
	})
}

// A look that doesn't come through says nothing about the answer.
func TestModel_FailedLooksBuyNothing(t *testing.T) {
	t.Parallel()
	r := atIntel(t, sandbox.Durations{})
	for _, broken := range []sandbox.Fault{{What: "status", Status: 500}, {What: "cut"}, {What: "garbage"}} {
		broken.Call, broken.Count = "read", 1
		r.fail(t, broken)
		r.wantFault(t, fault.Retryable, "internal")
	}
	r.finish(t)
	r.wantPaid(t, 1)
}
