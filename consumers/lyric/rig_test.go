package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"castad/events"
	"castad/internal/author"
	"castad/internal/config"
	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/prompts"
	"castad/providers"
	"castad/providers/sandbox"
	"castad/providers/sandbox/places"
	"castad/store"
)

const (
	owner   = "0199d4a0-0000-7000-8000-000000000001"
	answers = "POST /openai/v1/responses"
)

// rig is the stage with the real client on a sandbox, and a task that has its place and report.
type rig struct {
	*box
	*Stage
	claim store.Claim
}

func atLyric(t *testing.T, d sandbox.Durations) *rig {
	t.Helper()
	db, err := store.Open(store.Settings{DSN: testkit.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	library, err := prompts.Open("", prompts.Models{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{box: openBox(t, d)}
	r.Stage = &Stage{DB: db, Author: writer(t, db, r.URL), Prompts: library}
	r.claim = r.reported(t, providers.Korean)
	return r
}

func writer(t *testing.T, db *store.DB, url string) *author.Author {
	t.Helper()
	var prices providers.TokenPrices
	if err := prices.UnmarshalText([]byte("*=250000/2000000")); err != nil {
		t.Fatal(err)
	}
	return author.New(db, config.OpenAI{URL: url + "/openai/v1", Key: "key", Timeout: 20 * time.Second, Look: time.Second, Longest: time.Hour}, prices)
}

const (
	placeName = "숲속하루펜션"
	region    = "경기 가평군"
)

var music = store.Music{Genre: "발라드", Vocal: "여성 보컬", Tempo: "느리게", Mood: `"잔잔한" {밤}`}

// reported returns the claim of the lyric run of a new task that has its place and report.
func (r *rig) reported(t *testing.T, language providers.Language) store.Claim {
	t.Helper()
	id, _, err := r.DB.Submit(t.Context(), store.Submission{UserUUID: owner, Language: language, Orientation: "vertical", Music: music})
	if err != nil {
		t.Fatal(err)
	}
	r.completed(t, id, events.Crawl, func(tx *store.Tx) error {
		return tx.SaveProject(t.Context(), store.Project{TaskID: id, UserUUID: owner, StoreName: placeName, Region: region, Language: language})
	})
	r.completed(t, id, events.Intel, func(tx *store.Tx) error {
		return tx.SaveMarketing(t.Context(), store.Marketing{TaskID: id, Revision: 1, Language: language, Result: good(t, "marketing", language)})
	})
	return r.claimed(t, id, events.Lyric)
}

func (r *rig) completed(t *testing.T, id string, s events.Stage, save func(tx *store.Tx) error) {
	t.Helper()
	if err := r.DB.Complete(t.Context(), r.claimed(t, id, s), save); err != nil {
		t.Fatalf("complete %s: %v", s, err)
	}
}

func (r *rig) claimed(t *testing.T, id string, s events.Stage) store.Claim {
	t.Helper()
	c, answer, err := r.DB.Claim(t.Context(), id, s, "test", 10*time.Minute, 5)
	if err != nil || answer != store.Claimed {
		t.Fatalf("claim %s: %d, %v", s, answer, err)
	}
	return c
}

// rerun makes the lyrics again, with an edit or without.
func (r *rig) rerun(t *testing.T, edit *store.Edit) {
	t.Helper()
	if _, err := r.DB.Rerun(t.Context(), owner, r.claim.TaskID, events.Lyric, edit); err != nil {
		t.Fatal(err)
	}
	r.claim = r.claimed(t, r.claim.TaskID, events.Lyric)
}

// finish is an attempt that brings a result, with its save.
func (r *rig) finish(t *testing.T) store.Lyric {
	t.Helper()
	out, err := r.Work(t.Context(), r.claim)
	if err != nil || out.Rest > 0 {
		t.Fatalf("no lyrics: %+v, %v", out, err)
	}
	err = r.DB.Complete(t.Context(), r.claim, func(tx *store.Tx) error {
		if err := tx.SettleJobs(t.Context(), r.claim.Run, out.Charges); err != nil {
			return err
		}
		return r.Save(t.Context(), tx, r.claim, out.Result)
	})
	if err != nil {
		t.Fatal(err)
	}
	lyric, err := r.DB.LoadLyric(t.Context(), r.claim.TaskID)
	if err != nil {
		t.Fatal(err)
	}
	return lyric
}

func (r *rig) wantFault(t *testing.T, kind fault.Kind, code string) {
	t.Helper()
	out, err := r.Work(t.Context(), r.claim)
	if f := fault.Of(err); f == nil || f.Kind != kind || f.Code != code {
		t.Fatalf("wanted %s (%s), got %+v, %v", code, kind, out, err)
	}
}

func (r *rig) wantPaid(t *testing.T, calls int) {
	t.Helper()
	if got := r.paid(t).Calls; got != calls {
		t.Errorf("%d answers were paid, wanted %d", got, calls)
	}
}

// good is a document that the model writes.
func good(t *testing.T, schema string, language providers.Language) json.RawMessage {
	t.Helper()
	facts, err := json.Marshal(map[string]string{"name": placeName, "region": region, "language": string(language)})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := places.Answer(schema, facts)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// written are the good lyrics.
func written(t *testing.T, language providers.Language) prompts.Lyric {
	t.Helper()
	lyric, err := prompts.DecodeLyric(good(t, "lyric", language))
	if err != nil {
		t.Fatal(err)
	}
	return lyric
}

func wantLines(t *testing.T, want []prompts.LyricLine, got json.RawMessage) {
	t.Helper()
	var lines []prompts.LyricLine
	if err := json.Unmarshal(got, &lines); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
