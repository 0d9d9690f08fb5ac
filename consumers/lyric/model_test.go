package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"castad/internal/fault"
	"castad/prompts"
	"castad/providers"
	"castad/providers/sandbox"
	"castad/store"
)

// rewritten are good lyrics with something changed.
func rewritten(t *testing.T, change func(lyric *prompts.Lyric)) string {
	t.Helper()
	lyric := written(t, providers.Korean)
	change(&lyric)
	raw, err := json.Marshal(lyric)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Lyrics that can't be sung go back to the model once.
func TestModel_BrokenRulesGoBackOnce(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	for name, bad := range map[string]string{
		"other language": string(good(t, "lyric", providers.English)),
		"stage words":    rewritten(t, func(lyric *prompts.Lyric) { lyric.Lines[0].Text = "(간주) [Verse] 가평 숲길" }),
		"two lines in one": rewritten(t, func(lyric *prompts.Lyric) {
			lyric.Lines[1].Text = "가평 숲길\n두 번째 줄"
		}),
		"name isn't sung": rewritten(t, func(lyric *prompts.Lyric) {
			for i := range lyric.Lines {
				lyric.Lines[i].Text = strings.NewReplacer(placeName, "그곳", "숲속 하루 펜션", "그곳", "숲속하루", "그곳").Replace(lyric.Lines[i].Text)
			}
		}),
		"far too long":  rewritten(t, func(lyric *prompts.Lyric) { lyric.Lines = slices.Repeat(lyric.Lines, 20) }),
		"endless line":  rewritten(t, func(lyric *prompts.Lyric) { lyric.Lines[2].Text = strings.Repeat("라", 200) }),
		"too short":     rewritten(t, func(lyric *prompts.Lyric) { lyric.Lines = lyric.Lines[:3] }),
		"no chorus":     rewritten(t, func(lyric *prompts.Lyric) { lyric.Lines = slices.DeleteFunc(lyric.Lines, isChorus) }),
		"new section":   rewritten(t, func(lyric *prompts.Lyric) { lyric.Lines[0].Section = "intro" }),
		"no title":      rewritten(t, func(lyric *prompts.Lyric) { lyric.Title = " " }),
		"unknown field": strings.Replace(string(good(t, "lyric", providers.Korean)), "{", `{"notes":"x",`, 1),
		"no JSON":       "노래를 못 쓰겠어요",
	} {
		t.Run(name, func(t *testing.T) {
			paid := r.paid(t).Calls
			r.claim = r.reported(t, providers.Korean)
			r.desk.next(bad)
			wantLines(t, written(t, providers.Korean).Lines, r.finish(t).Lines)
			r.wantPaid(t, paid+2)

			r.claim = r.reported(t, providers.Korean)
			r.desk.next(bad, bad)
			for range 2 { // and isn't asked for again
				r.wantFault(t, fault.Permanent, "answer_rejected")
			}
			r.wantPaid(t, paid+4)
		})
	}
}

func isChorus(line prompts.LyricLine) bool { return line.Section == "chorus" }

// A wish that isn't kept is no reason to pay again.
func TestModel_SmallFlawsAreTaken(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	r.desk.next(rewritten(t, func(lyric *prompts.Lyric) { lyric.Title = "Forest Day" }))
	if got := r.finish(t); got.Title != "Forest Day" {
		t.Errorf("title %q", got.Title)
	}
	r.wantPaid(t, 1)
}

// The repair is a call of its own: it is found when its answer is lost, and looked at when its look fails.
func TestModel_LostRepairIsFound(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	r.desk.next(rewritten(t, func(lyric *prompts.Lyric) { lyric.Title = "" }))
	r.fail(t, sandbox.Fault{What: "lost", Contains: "An earlier answer to this missed the rules", Count: 1})
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	r.finish(t)
	r.wantPaid(t, 2)
}

func TestModel_LostAnswerIsFound(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	r.fail(t, sandbox.Fault{What: "lost", Count: 1})
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	wantLines(t, written(t, providers.Korean).Lines, r.finish(t).Lines)
	r.wantPaid(t, 1)
}

func TestModel_TroubleIsClassified(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	for name, row := range map[string]struct {
		fault sandbox.Fault
		kind  fault.Kind
		code  string
		paid  int
	}{
		"a wrong key": {sandbox.Fault{What: "status", Status: 401}, fault.Permanent, "openai_key_refused", 0},
		"too fast":    {sandbox.Fault{What: "status", Status: 429}, fault.RateLimited, "openai_rate_limited", 0},
		"failed":      {sandbox.Fault{What: "failed"}, fault.Retryable, "model_failed", 1},
		"a bad look":  {sandbox.Fault{Call: "read", What: "status", Status: 502}, fault.Retryable, "internal", 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := r.paid(t).Calls
			r.claim = r.reported(t, providers.Korean)
			row.fault.Count = 1
			r.fail(t, row.fault)
			r.wantFault(t, row.kind, row.code)
			r.finish(t)
			r.wantPaid(t, before+row.paid+1)
		})
	}
}

// Without a report there is nothing to sing of, and nothing is paid.
func TestModel_BrokenReportIsNotSung(t *testing.T) {
	t.Parallel()
	r := atLyric(t, sandbox.Durations{})
	c := r.claim
	err := r.DB.InTx(t.Context(), func(tx *store.Tx) error {
		return tx.SaveMarketing(t.Context(), store.Marketing{TaskID: c.TaskID, Revision: 2, Language: providers.Korean, Result: json.RawMessage(`{"brand_identity":"숲"}`)})
	})
	if err != nil {
		t.Fatal(err)
	}
	r.wantFault(t, fault.Permanent, "model_answer_unreadable")
	r.wantPaid(t, 0)
}
