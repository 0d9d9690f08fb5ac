package suno_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/internal/testkit/sandboxed"
	"castad/providers"
	"castad/providers/sandbox"
	"castad/providers/suno"
)

// studio is the sandbox's Suno, a client of it, and whoever gets the callbacks.
type studio struct {
	*suno.Client
	*sandboxed.Server
	hook string

	mu    sync.Mutex
	calls [][]byte // bodies of callbacks
}

func openStudio(t *testing.T, cfg sandbox.Config) *studio {
	t.Helper()
	s := &studio{}
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.calls = append(s.calls, body)
		s.mu.Unlock()
	}))
	t.Cleanup(hooks.Close) // after the sandbox, which may be calling
	s.Server = sandboxed.Open(t, cfg, nil)
	s.hook = hooks.URL + "/9f8c"
	s.Client = s.as("key")
	return s
}

func (s *studio) as(key string) *suno.Client {
	return suno.New(suno.Config{BaseURL: s.URL + "/suno", Key: key})
}

// fail makes the next call of a kind go wrong.
func (s *studio) fail(t *testing.T, f sandbox.Fault) {
	t.Helper()
	f.Provider, f.Count = "suno", 1
	s.Fail(t, f)
}

func (s *studio) order() providers.SongOrder {
	o := order
	o.CallbackURL = s.hook
	return o
}

func (s *studio) submitted(t *testing.T) string {
	t.Helper()
	id, err := s.Submit(t.Context(), s.order())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// ended looks until a song isn't worked on any more.
func (s *studio) ended(t *testing.T, id string) providers.Song {
	t.Helper()
	var song providers.Song
	testkit.Eventually(t, "the song ends", func() bool {
		var err error
		if song, err = s.Look(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return song.Progress != providers.Working
	})
	return song
}

func (s *studio) called(t *testing.T, kind string) string {
	t.Helper()
	var id string
	testkit.Eventually(t, "the callback "+kind+" comes", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, body := range s.calls {
			var err error
			if id, err = suno.ParseCallback(body); err != nil {
				t.Errorf("callback %s: %v", body, err)
			}
			if strings.Contains(string(body), `"callbackType":"`+kind+`"`) {
				return true
			}
		}
		return false
	})
	return id
}

// credits is what is left on the account.
func (s *studio) credits(t *testing.T) float64 {
	t.Helper()
	var out struct{ Data float64 }
	if err := json.Unmarshal(s.Get(t, s.URL+"/suno/api/v1/generate/credit"), &out); err != nil {
		t.Fatal(err)
	}
	return out.Data
}

// Sections 2, 3, 4, 5 and 7: an order becomes two clips with words, and each callback names the job.
func TestContract_SongIsMade(t *testing.T) {
	t.Parallel()
	s := openStudio(t, sandbox.Config{})
	before := s.credits(t)
	id := s.submitted(t)
	song := s.ended(t, id)
	if song.Progress != providers.Done || len(song.Clips) != 2 || song.Clips[0].Seconds <= 0 || song.Clips[0].ID == song.Clips[1].ID {
		t.Fatalf("song %+v", song)
	}
	if got := s.called(t, "complete"); got != id {
		t.Errorf("the callback names %s, and the job is %s", got, id)
	}
	if ours, err := s.Confirm(t.Context(), id, s.hook); !ours || err != nil {
		t.Errorf("our own job isn't ours: %v", err)
	}
	if ours, err := s.Confirm(t.Context(), id, s.hook+"x"); ours || err != nil {
		t.Errorf("another's job is ours, %v", err)
	}
	words, err := s.Words(t.Context(), id, song.Clips[0].ID)
	if err != nil || len(words) == 0 || words[len(words)-1].End > song.Clips[0].Seconds {
		t.Errorf("words %+v, %v", words, err)
	}
	if after := s.credits(t); before-after != 12 {
		t.Errorf("%v credits became %v", before, after)
	}
}

// Section 8: the answer of the order is lost; the first callback brings the id, and the record says whose it is.
func TestContract_LostAnswerIsFoundByItsCallback(t *testing.T) {
	t.Parallel()
	s := openStudio(t, sandbox.Config{})
	s.fail(t, sandbox.Fault{What: "lost"})
	if _, err := s.Submit(t.Context(), s.order()); classOf(err) != (class{fault.Uncertain, "suno_outcome_unknown"}) {
		t.Fatalf("lost: %v", err)
	}
	id := s.called(t, "complete")
	if ours, err := s.Confirm(t.Context(), id, s.hook); !ours || err != nil {
		t.Errorf("job %s isn't ours, %v", id, err)
	}
}

// Section 2: what the API asks of an order, in the words and codes that it refuses with.
func TestContract_OrdersAreChecked(t *testing.T) {
	t.Parallel()
	s := openStudio(t, sandbox.Config{})
	refused := class{fault.Permanent, "suno_order_refused"}
	for name, change := range map[string]func(o *providers.SongOrder){
		"no callback":     func(o *providers.SongOrder) { o.CallbackURL = "" },
		"unknown model":   func(o *providers.SongOrder) { o.Model = "V9" },
		"no style":        func(o *providers.SongOrder) { o.Style = "" },
		"no title":        func(o *providers.SongOrder) { o.Title = "" },
		"no lyrics":       func(o *providers.SongOrder) { o.Lyrics = "" },
		"lyrics too long": func(o *providers.SongOrder) { o.Lyrics = strings.Repeat("가", 5001) },
		"style too long":  func(o *providers.SongOrder) { o.Style = strings.Repeat("k", 1001) },
		"V4: lyrics":      func(o *providers.SongOrder) { o.Model, o.Lyrics = "V4", strings.Repeat("가", 3001) },
		"V4: style":       func(o *providers.SongOrder) { o.Model, o.Style = "V4", strings.Repeat("k", 201) },
	} {
		o := s.order()
		change(&o)
		if _, err := s.Submit(t.Context(), o); classOf(err) != refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, model := range []string{"V4", "V4_5", "V4_5PLUS", "V4_5ALL", "V5", "V5_5"} {
		o := s.order()
		o.Model, o.Title = model, strings.Repeat("숲", 120) // a title that is too long is cut
		if _, err := s.Submit(t.Context(), o); err != nil {
			t.Errorf("model %s: %v", model, err)
		}
	}
	if _, err := s.as("wrong").Submit(t.Context(), s.order()); classOf(err) != (class{fault.Permanent, "suno_key_refused"}) {
		t.Errorf("wrong key: %v", err)
	}
}

func TestContract_CreditsEnd(t *testing.T) {
	t.Parallel()
	s := openStudio(t, sandbox.Config{Credits: 13})
	s.submitted(t)
	if _, err := s.Submit(t.Context(), s.order()); classOf(err) != (class{fault.Permanent, "suno_no_credits"}) {
		t.Errorf("with one credit left: %v", err)
	}
}

// Section 6, row by row, for the order and for a read. Failures come with HTTP status 200; some proxies call msg message.
func TestContract_EachCodeOfTheTable(t *testing.T) {
	t.Parallel()
	s := openStudio(t, sandbox.Config{})
	id := s.submitted(t)
	refused, key, credits := class{fault.Permanent, "suno_order_refused"}, class{fault.Permanent, "suno_key_refused"}, class{fault.Permanent, "suno_no_credits"}
	absent, fast := class{fault.Permanent, "suno_not_offered"}, class{fault.RateLimited, "suno_too_fast"}
	unsure, again := class{fault.Uncertain, "suno_outcome_unknown"}, class{fault.Retryable, "internal"}
	for _, row := range []struct {
		code        int
		order, read class
	}{
		{400, refused, refused}, {401, key, key}, {402, credits, credits}, {404, absent, class{fault.Retryable, "suno_job_unknown"}},
		{405, fast, fast}, {409, unsure, again}, {413, refused, refused}, {422, refused, refused}, {429, credits, credits}, {430, fast, fast},
		{451, unsure, again}, {455, class{fault.RateLimited, "suno_maintenance"}, class{fault.RateLimited, "suno_maintenance"}},
		{500, unsure, again}, {501, unsure, again}, {505, absent, absent}, {531, unsure, again},
	} {
		for _, text := range []string{"msg", "message"} {
			body := fmt.Sprintf(`{"code":%d,%q:"because","data":null}`, row.code, text)
			s.fail(t, sandbox.Fault{What: "status", Status: 200, Body: body})
			_, err := s.Submit(t.Context(), s.order())
			if classOf(err) != row.order || !strings.Contains(err.Error(), "because") {
				t.Errorf("order answered %s: %v", body, err)
			}
			s.fail(t, sandbox.Fault{Call: "read", What: "status", Status: 200, Body: body})
			if _, err := s.Look(t.Context(), id); classOf(err) != row.read {
				t.Errorf("look answered %s: %v", body, err)
			}
		}
	}
	for _, row := range []struct {
		status int
		want   class
	}{
		{429, fast}, {502, unsure}, {503, unsure}, {504, unsure}, {500, unsure}, {401, key}, {413, refused},
	} { // a gateway's page
		s.fail(t, sandbox.Fault{What: "status", Status: row.status, Body: "<html>gateway</html>"})
		if _, err := s.Submit(t.Context(), s.order()); classOf(err) != row.want {
			t.Errorf("order answered by a gateway with %d: %v", row.status, err)
		}
	}
}

// Section 3: half-filled states, failures, and a job that nobody knows.
func TestContract_StatesOfASong(t *testing.T) {
	t.Parallel()
	s := openStudio(t, sandbox.Config{})
	for what, want := range map[string]string{"sensitive": "SENSITIVE_WORD_ERROR", "failed": "GENERATE_AUDIO_FAILED"} {
		s.fail(t, sandbox.Fault{What: what})
		if song := s.ended(t, s.submitted(t)); song.Progress != providers.Broken || song.Code != want || song.Reason == "" {
			t.Errorf("%s: %+v", what, song)
		}
	}
	if _, err := s.Look(t.Context(), "0123456789abcdef0123456789abcdef"); classOf(err) != (class{fault.Retryable, "suno_job_unknown"}) {
		t.Errorf("an unknown job: %v", err)
	}
	// The same with nothing but "success" in it.
	s.fail(t, sandbox.Fault{Call: "read", What: "status", Status: 200, Body: `{"code":200,"msg":"success","data":null}`})
	if _, err := s.Look(t.Context(), "0123456789abcdef0123456789abcdef"); classOf(err) != (class{fault.Retryable, "suno_job_unknown"}) {
		t.Errorf("a job without data: %v", err)
	}
}

func TestContract_SongsGrowStepByStep(t *testing.T) {
	t.Parallel()
	s := openStudio(t, sandbox.Config{Durations: sandbox.Durations{Song: 600 * time.Millisecond}})
	id := s.submitted(t)
	seen := map[int]bool{}
	testkit.Eventually(t, "the song is done", func() bool {
		song, err := s.Look(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		seen[len(song.Clips)] = true
		if song.Progress == providers.Working && len(song.Clips) > 1 || song.Progress == providers.Done && len(song.Clips) != 2 {
			t.Errorf("half-filled: %+v", song)
		}
		return song.Progress == providers.Done
	})
	if !seen[0] || !seen[2] {
		t.Errorf("seen with %v clips", seen)
	}
	for _, kind := range []string{"text", "first", "complete"} {
		if got := s.called(t, kind); got != id {
			t.Errorf("the callback %s names %s", kind, got)
		}
	}
}

// A dead callback URL doesn't cost the song: CALLBACK_EXCEPTION with audio is done.
func TestContract_NobodyTakesTheCallback(t *testing.T) {
	t.Parallel()
	s := openStudio(t, sandbox.Config{})
	o := s.order()
	o.CallbackURL = "http://127.0.0.1:1/dead"
	id, err := s.Submit(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the callback is given up", func() bool {
		return strings.Contains(string(s.Get(t, s.URL+"/suno/api/v1/generate/record-info?taskId="+id)), "CALLBACK_EXCEPTION")
	})
	if song := s.ended(t, id); song.Progress != providers.Done || len(song.Clips) != 2 {
		t.Errorf("song %+v", song)
	}
}
