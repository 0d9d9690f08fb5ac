package main

import (
	"database/sql"
	"encoding/json"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
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
	owner     = "0199d4a0-0000-7000-8000-000000000001"
	neighbour = "0199d4a0-0000-7000-8000-000000000002"

	answers       = "POST /openai/v1/responses"
	conversations = "POST /openai/v1/conversations"
)

// rig is the stage with the real client on a sandbox, and a task that has its place.
type rig struct {
	*box
	*Stage
	rows  *sql.DB
	claim store.Claim
}

func atIntel(t *testing.T, d sandbox.Durations) *rig {
	t.Helper()
	dsn := testkit.Database(t)
	db, err := store.Open(store.Settings{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	rows, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	library, err := prompts.Open("", prompts.Models{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{box: openBox(t, d), rows: rows}
	r.Stage = &Stage{DB: db, Author: writer(t, db, r.URL), Prompts: library, Fresh: time.Hour}
	r.claim = r.crawled(t, owner, business())
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

// business is a place given by hand: reports on it serve no other task.
func business() store.Project {
	return store.Project{StoreName: "숲속하루펜션", Category: "펜션", Region: "경기 가평군", DetailRegionInfo: "설악면 숲속길 12",
		Description: "잣나무 숲이 마당까지 내려온 자리.", Facilities: store.JSON[[]string]{V: []string{"바비큐", "불멍"}}, Language: providers.Korean}
}

// crawled returns the claim of the intel run of a new task with this place.
func (r *rig) crawled(t *testing.T, user string, p store.Project) store.Claim {
	t.Helper()
	id, _, err := r.DB.Submit(t.Context(), store.Submission{UserUUID: user, Language: p.Language, Orientation: "vertical"})
	if err != nil {
		t.Fatal(err)
	}
	p.TaskID, p.UserUUID = id, user
	if err := r.DB.Complete(t.Context(), r.claimed(t, id, events.Crawl), func(tx *store.Tx) error { return tx.SaveProject(t.Context(), p) }); err != nil {
		t.Fatal(err)
	}
	return r.claimed(t, id, events.Intel)
}

func (r *rig) claimed(t *testing.T, id string, s events.Stage) store.Claim {
	t.Helper()
	c, answer, err := r.DB.Claim(t.Context(), id, s, "test", 10*time.Minute, 5)
	if err != nil || answer != store.Claimed {
		t.Fatalf("claim %s: %d, %v", s, answer, err)
	}
	return c
}

// rerun makes the report again, with an edit or without.
func (r *rig) rerun(t *testing.T, edit *store.Edit) {
	t.Helper()
	if _, err := r.DB.Rerun(t.Context(), r.claim.Task.UserUUID, r.claim.TaskID, events.Intel, edit); err != nil {
		t.Fatal(err)
	}
	r.claim = r.claimed(t, r.claim.TaskID, events.Intel)
}

// finish is an attempt that brings a result, with its save.
func (r *rig) finish(t *testing.T) store.Marketing {
	t.Helper()
	out, err := r.Work(t.Context(), r.claim)
	if err != nil || out.Rest > 0 {
		t.Fatalf("no report: %+v, %v", out, err)
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
	report, err := r.DB.LoadMarketing(t.Context(), r.claim.TaskID)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func (r *rig) wantFault(t *testing.T, kind fault.Kind, code string) *fault.Error {
	t.Helper()
	out, err := r.Work(t.Context(), r.claim)
	f := fault.Of(err)
	if f == nil || f.Kind != kind || f.Code != code {
		t.Fatalf("wanted %s (%s), got %+v, %v", code, kind, out, err)
	}
	return f
}

func (r *rig) wantPaid(t *testing.T, calls int) {
	t.Helper()
	if got := r.paid(t).Calls; got != calls {
		t.Errorf("%d answers were paid, wanted %d", got, calls)
	}
}

// later lets the calls so far lie back in time by so much.
func (r *rig) later(t *testing.T, by time.Duration) {
	t.Helper()
	if _, err := r.rows.ExecContext(t.Context(), "UPDATE `provider_job` SET `sent_at`=`sent_at` - INTERVAL ? SECOND", by.Seconds()); err != nil {
		t.Fatal(err)
	}
}

// good is the report that the model writes on a place.
func good(t *testing.T, p store.Project) json.RawMessage {
	t.Helper()
	facts, err := json.Marshal(map[string]string{"name": p.StoreName, "region": p.Region, "language": string(p.Language)})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := places.Answer("marketing", facts)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// sameJSON compares documents whatever their spaces: the database may write them anew.
func sameJSON(t *testing.T, want, got []byte) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(want, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &b); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}
