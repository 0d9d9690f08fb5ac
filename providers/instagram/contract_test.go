package instagram_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"castad/internal/fault"
	"castad/internal/testkit/sandboxed"
	"castad/providers/instagram"
	"castad/providers/sandbox"
)

const account = "17841400000000001"

// graph is the sandbox's Instagram and a client of it.
type graph struct {
	*instagram.Client
	*sandboxed.Server
	movie string // address of a video that can be fetched
}

func openGraph(t *testing.T, cfg sandbox.Config) *graph {
	t.Helper()
	g := &graph{Server: sandboxed.Open(t, cfg, nil)}
	films := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/movie.mp4" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "video/mp4")
		_, _ = w.Write([]byte("movie"))
	}))
	t.Cleanup(films.Close)
	g.movie = films.URL + "/movie.mp4"
	g.Client = g.as("token")
	return g
}

func (g *graph) as(token string) *instagram.Client {
	return instagram.New(instagram.Config{BaseURL: g.URL + "/instagram/v25.0", UserID: account, Token: token})
}

// fail makes the next call of a kind go wrong.
func (g *graph) fail(t *testing.T, f sandbox.Fault) {
	t.Helper()
	f.Provider, f.Count = "instagram", 1
	g.Fail(t, f)
}

// made returns a container once its status is as wanted.
func (g *graph) made(t *testing.T, video, caption, want string) (id, detail string) {
	t.Helper()
	id, err := g.CreateContainer(t.Context(), video, caption, "")
	if err != nil {
		t.Fatal(err)
	}
	return id, g.becomes(t, id, want)
}

func (g *graph) becomes(t *testing.T, id, want string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		status, detail, err := g.ContainerStatus(ctx, id)
		if err != nil {
			t.Fatalf("container becomes %s: %v", want, err)
		}
		if status == want {
			return detail
		}
	}
}

func wantFault(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	if f := fault.Of(err); f == nil || f.Kind != kind || f.Code != code {
		t.Errorf("got %v, wanted %s (%s)", err, code, kind)
	}
}

// Section 3: container, wait, publish, link; section 7: what tells whether a container is out.
func TestContract_ReelIsPublishedOnce(t *testing.T) {
	t.Parallel()
	g := openGraph(t, sandbox.Config{})
	id, _ := g.made(t, g.movie, "숲속펜션\nref 0199", instagram.Finished)
	media, err := g.Publish(t.Context(), id)
	if err != nil || media == id {
		t.Fatalf("published container %s as %q, %v", id, media, err)
	}
	g.becomes(t, id, instagram.Published)
	if link, err := g.Permalink(t.Context(), media); err != nil || !strings.Contains(link, "/reel/") {
		t.Errorf("link %q, %v", link, err)
	}
	if found, ok, err := g.FindByMark(t.Context(), "ref 0199", time.Now().Add(-time.Hour)); found != media || !ok || err != nil {
		t.Errorf("found %q, %t, %v", found, ok, err)
	}
	if _, err := g.Publish(t.Context(), id); fault.Of(err).Kind != fault.Permanent {
		t.Errorf("published again: %v", err)
	}
	if used, may, err := g.PublishingLimit(t.Context()); used != 1 || may <= 1 || err != nil {
		t.Errorf("%d of %d posts, %v", used, may, err)
	}
}

// Section 7: after a lost answer the container says that it is out, and the list which post it is.
func TestContract_LostPublicationIsFound(t *testing.T) {
	t.Parallel()
	g := openGraph(t, sandbox.Config{})
	id, _ := g.made(t, g.movie, "ref 0200", instagram.Finished)
	g.fail(t, sandbox.Fault{Call: "publish", What: "lost"})
	_, err := g.Publish(t.Context(), id)
	wantFault(t, err, fault.Uncertain, "instagram_outcome_unknown")
	g.becomes(t, id, instagram.Published)
	if _, ok, err := g.FindByMark(t.Context(), "ref 0200", time.Now().Add(-time.Hour)); !ok || err != nil {
		t.Errorf("found: %t, %v", ok, err)
	}
}

// Sections 3 and 4: what a container can come to.
func TestContract_ContainersEnd(t *testing.T) {
	t.Parallel()
	g := openGraph(t, sandbox.Config{})
	_, detail := g.made(t, g.movie+"/missing", "", instagram.Errored)
	wantFault(t, instagram.Failure(instagram.Errored, detail), fault.Retryable, instagram.CodeUnfetched)
	g.fail(t, sandbox.Fault{What: "format"})
	_, detail = g.made(t, g.movie, "", instagram.Errored)
	wantFault(t, instagram.Failure(instagram.Errored, detail), fault.Permanent, "instagram_video_refused")
	g.fail(t, sandbox.Fault{What: "failed"})
	id, detail := g.made(t, g.movie, "", instagram.Errored)
	wantFault(t, instagram.Failure(instagram.Errored, detail), fault.Retryable, instagram.CodeContainerFailed)
	_, err := g.Publish(t.Context(), id)
	wantFault(t, err, fault.Retryable, "instagram_container_lost")
	_, err = g.CreateContainer(t.Context(), g.movie, strings.Repeat("가", 2201), "")
	wantFault(t, err, fault.Permanent, "instagram_post_refused")
	_, err = g.CreateContainer(t.Context(), "", "", "")
	wantFault(t, err, fault.Permanent, "instagram_post_refused")
}

func TestContract_ContainerExpires(t *testing.T) {
	t.Parallel()
	g := openGraph(t, sandbox.Config{Durations: sandbox.Durations{Container: time.Millisecond}})
	id, detail := g.made(t, g.movie, "", instagram.Expired)
	wantFault(t, instagram.Failure(instagram.Expired, detail), fault.Retryable, instagram.CodeContainerFailed)
	_, err := g.Publish(t.Context(), id)
	wantFault(t, err, fault.Retryable, "instagram_container_lost")
}

func TestContract_PublishedTooEarly(t *testing.T) {
	t.Parallel()
	g := openGraph(t, sandbox.Config{Durations: sandbox.Durations{Process: time.Hour}})
	id, _ := g.made(t, g.movie, "", instagram.InProgress)
	_, err := g.Publish(t.Context(), id)
	wantFault(t, err, fault.RateLimited, "instagram_not_ready")
}

// Section 6, row by row. A write is refused for good where a read is only early.
func TestContract_EachErrorOfTheTable(t *testing.T) {
	t.Parallel()
	g := openGraph(t, sandbox.Config{})
	id, _ := g.made(t, g.movie, "", instagram.Finished)
	const create, publish, read = "create", "publish", "read"
	for _, row := range []struct {
		call          string
		code, subcode int
		kind          fault.Kind
		want          string
	}{
		{create, 190, 460, fault.Permanent, "instagram_reconnect_needed"},
		{read, 190, 463, fault.Permanent, "instagram_reconnect_needed"},
		{publish, 190, 467, fault.Permanent, "instagram_reconnect_needed"},
		{publish, 10, 0, fault.Permanent, "instagram_permission_missing"},
		{create, 200, 0, fault.Permanent, "instagram_permission_missing"},
		{create, 299, 0, fault.Permanent, "instagram_permission_missing"},
		{read, 100, 33, fault.Retryable, "instagram_object_unreadable"},
		{create, 100, 33, fault.Permanent, "instagram_post_refused"},
		{create, 1, 0, fault.Retryable, "instagram_unavailable"},
		{read, 2, 0, fault.Retryable, "instagram_unavailable"},
		{publish, 1, 0, fault.Uncertain, "instagram_outcome_unknown"},
		{publish, 2, 0, fault.Uncertain, "instagram_outcome_unknown"},
		{create, 4, 0, fault.RateLimited, "instagram_rate_limited"},
		{create, 17, 0, fault.RateLimited, "instagram_rate_limited"},
		{create, 32, 0, fault.RateLimited, "instagram_rate_limited"},
		{publish, 613, 0, fault.RateLimited, "instagram_rate_limited"},
		{publish, 80002, 0, fault.RateLimited, "instagram_rate_limited"},
		{publish, -2, 2207003, fault.Retryable, "instagram_container_lost"},
		{publish, -2, 2207020, fault.Retryable, "instagram_container_lost"},
		{create, -1, 2207001, fault.Retryable, "instagram_unavailable"},
		{publish, -1, 2207001, fault.Uncertain, "instagram_outcome_unknown"},
		{publish, -1, 2207032, fault.Retryable, "instagram_container_lost"},
		{publish, -1, 2207053, fault.Retryable, "instagram_container_lost"},
		{create, 1, 2207057, fault.Permanent, "instagram_post_refused"},
		{publish, 4, 2207051, fault.Permanent, "instagram_action_blocked"},
		{publish, 9, 2207042, fault.RateLimited, "instagram_daily_limit"},
		{publish, 24, 2207006, fault.Retryable, "instagram_container_lost"},
		{publish, 24, 2207008, fault.Retryable, "instagram_container_lost"},
		{publish, 25, 2207050, fault.Permanent, "instagram_account_restricted"},
		{create, 100, 2207023, fault.Permanent, "instagram_post_refused"},
		{create, 100, 2207028, fault.Permanent, "instagram_post_refused"},
		{create, 100, 2207035, fault.Permanent, "instagram_post_refused"},
		{create, 100, 2207037, fault.Permanent, "instagram_post_refused"},
		{create, 100, 2207040, fault.Permanent, "instagram_post_refused"},
		{publish, 352, 2207026, fault.Permanent, "instagram_post_refused"},
		{publish, 9004, 2207052, fault.Retryable, "instagram_container_lost"},
		{publish, 9007, 2207027, fault.RateLimited, "instagram_not_ready"},
		{create, 36000, 2207004, fault.Permanent, "instagram_post_refused"},
		{create, 36001, 2207005, fault.Permanent, "instagram_post_refused"},
		{create, 36003, 2207009, fault.Permanent, "instagram_post_refused"},
		{create, 36004, 2207010, fault.Permanent, "instagram_post_refused"},
		{publish, 100, 2207076, fault.Retryable, "instagram_container_lost"},
		{publish, 100, 2207077, fault.Retryable, "instagram_container_lost"},
		{publish, 100, 2207082, fault.Retryable, "instagram_container_lost"},
		{publish, 100, 2207085, fault.Retryable, "instagram_container_lost"},
	} {
		for _, transient := range []bool{false, true} { // Meta's word that it passes doesn't change what its table says
			name := fmt.Sprintf("%s answered %d/%d, transient %t", row.call, row.code, row.subcode, transient)
			g.fail(t, sandbox.Fault{Call: row.call, What: "status", Status: 400, Body: fmt.Sprintf(
				`{"error":{"message":"Refused.","type":"OAuthException","code":%d,"error_subcode":%d,"is_transient":%t,"fbtrace_id":"A1"}}`, row.code, row.subcode, transient)})
			err := g.call(t, row.call, id)
			if f := fault.Of(err); f == nil || f.Kind != row.kind || f.Code != row.want {
				t.Errorf("%s: got %v, wanted %s (%s)", name, err, row.want, row.kind)
			}
			if !strings.Contains(fmt.Sprint(err), "A1") {
				t.Errorf("%s: the error doesn't tell Meta's trace: %v", name, err)
			}
		}
	}
	g.becomes(t, id, instagram.Finished)
}

func (g *graph) call(t *testing.T, call, container string) error {
	t.Helper()
	var err error
	switch call {
	case "create":
		_, err = g.CreateContainer(t.Context(), g.movie, "", "")
	case "publish":
		_, err = g.Publish(t.Context(), container)
	default:
		_, _, err = g.ContainerStatus(t.Context(), container)
	}
	return err
}

// A problem that no table knows is believed to be passing where Meta says so.
func TestContract_UnlistedTransientProblem(t *testing.T) {
	t.Parallel()
	g := openGraph(t, sandbox.Config{})
	for _, row := range []struct {
		transient bool
		kind      fault.Kind
		code      string
	}{{true, fault.Retryable, "instagram_unavailable"}, {false, fault.Permanent, "instagram_post_refused"}} {
		g.fail(t, sandbox.Fault{What: "status", Status: 400,
			Body: fmt.Sprintf(`{"error":{"message":"?","type":"OAuthException","code":77777,"is_transient":%t,"fbtrace_id":"A"}}`, row.transient)})
		wantFault(t, g.call(t, "create", ""), row.kind, row.code)
	}
}

// Section 3: the subcode of a failed container is inside its text.
func TestContract_EachFailureOfAContainer(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{
		2207003: instagram.CodeContainerFailed, 2207020: instagram.CodeContainerFailed, 2207001: instagram.CodeContainerFailed,
		2207032: instagram.CodeContainerFailed, 2207053: instagram.CodeContainerFailed, 2207076: instagram.CodeContainerFailed,
		2207077: instagram.CodeContainerFailed, 2207082: instagram.CodeContainerFailed, 2207085: instagram.CodeContainerFailed,
		2207052: instagram.CodeUnfetched, 2207026: "instagram_video_refused", 2207010: "instagram_post_refused",
		2207057: "instagram_post_refused", 2207051: "instagram_action_blocked", 2207050: "instagram_account_restricted",
	} {
		err := instagram.Failure(instagram.Errored, fmt.Sprintf("Error: Media upload has failed with error code %d", code))
		if f := fault.Of(err); f.Code != want {
			t.Errorf("%d: got %v, wanted %s", code, err, want)
		}
	}
	wantFault(t, instagram.Failure(instagram.Errored, "지금은 안 됩니다"), fault.Retryable, instagram.CodeContainerFailed)
}

// Section 2: a token that isn't good any more has to be renewed by its owner.
func TestContract_WrongToken(t *testing.T) {
	t.Parallel()
	g := openGraph(t, sandbox.Config{})
	wrong := g.as("wrong")
	_, err := wrong.CreateContainer(t.Context(), g.movie, "", "")
	wantFault(t, err, fault.Permanent, "instagram_reconnect_needed")
	_, _, err = wrong.PublishingLimit(t.Context())
	wantFault(t, err, fault.Permanent, "instagram_reconnect_needed")
	_, _, err = wrong.FindByMark(t.Context(), "ref", time.Now())
	wantFault(t, err, fault.Permanent, "instagram_reconnect_needed")
}

// Section 4: the usage header says how long to stay away, in minutes.
func TestContract_UsageHeader(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Business-Use-Case-Usage", `{"178":[{"type":"instagram","call_count":100,"estimated_time_to_regain_access":28}]}`)
		says(400, `{"error":{"message":"m","type":"OAuthException","code":80002,"fbtrace_id":"A"}}`)(w, &http.Request{Header: http.Header{"Authorization": {"Bearer secret"}}, URL: &url.URL{}})
	})
	_, err := c.CreateContainer(t.Context(), "https://x/v.mp4", "", "")
	if rest := time.Until(fault.Of(err).Until); rest < 27*time.Minute || rest > 28*time.Minute {
		t.Errorf("again after %v: %v", rest, err)
	}
}
