package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"castad/internal/e2e"
	"castad/internal/testkit"
)

// secretSettings are all settings that nobody may read who reads what the product says.
var secretSettings = map[string]string{
	"CASTAD_OPENAI_KEY": "sk-hidden-openai-4f1d", "CASTAD_SUNO_KEY": "hidden-suno-97ab", "CASTAD_CREATOMATE_KEY": "hidden-creatomate-31c6",
	"CASTAD_YOUTUBE_CLIENT_SECRET": "GOCSPX-hidden-youtube-5e20", "CASTAD_YOUTUBE_REFRESH_TOKEN": "1//hidden-refresh-8d77",
	"CASTAD_INSTAGRAM_TOKEN": "IGAA-hidden-instagram-c0de", "CASTAD_NAVER_CLIENT_ID": "hidden-naver-id-6b12", "CASTAD_NAVER_CLIENT_SECRET": "hidden-naver-e4f9",
	"CASTAD_JWT_KEYS": "test:" + base64.StdEncoding.EncodeToString([]byte("a hidden key that signs tokens 2b8e")),
}

const redisPassword = "hidden-redis-70aa"

// echoing is a call that its provider answers with the credentials that came with it.
type echoing struct {
	provider, call string
	status         int
}

var echoes = []echoing{
	{"naver", "read", 500}, {"azure", "create", 503}, {"openai", "conversation", 500}, {"openai", "create", 429}, {"openai", "create", 401}, {"openai", "read", 500},
	{"suno", "create", 429}, {"suno", "create", 401}, {"suno", "read", 500}, {"suno", "words", 500},
	{"creatomate", "create", 429}, {"creatomate", "create", 401}, {"creatomate", "read", 500},
	{"google", "token", 500}, {"google", "token", 400}, {"youtube", "create", 403}, {"youtube", "send", 503}, {"youtube", "read", 500},
	{"instagram", "create", 400}, {"instagram", "read", 500},
}

// order is the fault for the sandbox.
func (e echoing) order() string {
	return fmt.Sprintf(`{"provider":%q,"call":%q,"what":"echo","status":%d,"count":1}`, e.provider, e.call, e.status)
}

// Providers echo every key and token in their errors, on the way of tasks that are completed and of ones that fail;
// programs die and start again; and none of the secrets is in a log, a row, an event, a metric or an answer of the API.
func TestSecrets_AreSaidNowhere(t *testing.T) {
	t.Parallel()
	addr, redis := testkit.Redis(t)
	redis.RequireAuth(redisPassword)
	env := maps.Clone(wideLimits)
	maps.Copy(env, secretSettings)
	delete(env, "CASTAD_LIMIT_CHANGES")
	env["CASTAD_REDIS_URL"] = "redis://:" + redisPassword + "@" + addr
	env["CASTAD_LOG_LEVEL"] = "debug"
	env["CASTAD_CRAWL_FRESH"] = "0s"
	p := e2e.Start(t, e2e.Options{Env: env, Brokers: testkit.BrokerSettings{Nodes: 1}})
	p.Login()
	admin := p.AdminToken()
	answers := strings.Builder{}
	for i, e := range echoes {
		if e.provider == "google" {
			p.Roll("upload") // which has a token already, and asks for none
		}
		p.Fault(e.order())
		ended(t, p, &answers, p.Submit(fmt.Sprintf("echo-%d", i), order(i, languages[i%len(languages)])))
		if left, err := p.PendingFaults(); err != nil || len(left) > 0 {
			t.Fatalf("%s %s wasn't called, and the test shows nothing of it: %v left, %v", e.provider, e.call, left, err)
		}
	}
	p.Kill("song")
	p.Run("song")
	p.Ready("song")
	redis.RequireAuth("another")
	p.Roll("api") // it can't log in any more, and says so
	p.Call(http.MethodGet, "/tasks", map[string]string{"Authorization": "Bearer " + admin + "x"}, nil, nil)
	said := p.Output(t)
	said["answers of the API"] = answers.String() + readAll(t, p, admin, "/tasks", "/admin/dead", "/openapi.json")
	everywhere := strings.Join(slices.Collect(maps.Values(said)), "\n")
	for _, word := range []string{"attempt failed", "(hidden)", "program started", "castad.fact"} { // else nothing was looked at
		if !strings.Contains(everywhere, word) {
			t.Errorf("the words %q aren't in all that was said", word)
		}
	}
	notSaid(t, said, secrets(t, p, admin))
}

// longest is what a task may take while all other tests run.
const longest = 4 * time.Minute

// ended waits until nothing happens to a task any more, and keeps what the API says of it.
func ended(t *testing.T, p *e2e.Product, answers *strings.Builder, id string) {
	t.Helper()
	testkit.Within(t, longest, "task "+id+" has ended", func() bool {
		task, err := p.Task(id)
		return err == nil && (task.Status == "completed" || task.Status == "failed")
	})
	answers.WriteString(readAll(t, p, "", "/tasks/"+id))
}

// readAll returns what the API answers, good or bad, with a token; "" for the tester's.
func readAll(t *testing.T, p *e2e.Product, token string, paths ...string) string {
	t.Helper()
	header := map[string]string{}
	if token != "" {
		header["Authorization"] = "Bearer " + token
	}
	all := strings.Builder{}
	for _, path := range paths {
		var answer json.RawMessage
		if _, err := p.Call(http.MethodGet, path, header, nil, &answer); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all.Write(answer)
	}
	return all.String()
}

// hidden is a text that stands nowhere but in one place; "" for none.
type hidden struct{ what, text, place string }

const selectCalls = "SELECT `token`, `external_id` AS `externalid` FROM `provider_job`"

// secrets are all secret settings, tokens that were given out, and what lets anybody who knows it go on with a call.
func secrets(t *testing.T, p *e2e.Product, admin string) []hidden {
	t.Helper()
	all := []hidden{{"the password of Redis", redisPassword, ""}, {"an access token of Google", "ya29.", ""},
		{"the password of the broker", brokerPassword(t, p), ""},
		{"the signature of a token", admin[strings.LastIndex(admin, ".")+1:], ""}}
	for name, value := range secretSettings {
		all = append(all, hidden{name, strings.TrimPrefix(value, "test:"), ""})
	}
	for _, call := range e2e.Read[struct{ Token, ExternalID string }](t, p.Rows(t), selectCalls) {
		all = append(all, hidden{"the token of a callback", call.Token, "rows of provider_job"})
		if strings.Contains(call.ExternalID, "upload_id=") {
			all = append(all, hidden{"the address of an upload's session", call.ExternalID, "rows of provider_job"})
		}
	}
	return all
}

// notSaid looks for each secret as it is, and as it stands in an address.
func notSaid(t *testing.T, said map[string]string, secrets []hidden) {
	t.Helper()
	for where, text := range said {
		for _, s := range secrets {
			if at := max(strings.Index(text, s.text), strings.Index(text, url.QueryEscape(s.text))); at >= 0 && where != s.place {
				t.Errorf("%s holds %s, after %q", where, s.what, text[max(0, at-300):at])
			}
		}
	}
}

func brokerPassword(t *testing.T, p *e2e.Product) string {
	t.Helper()
	broker, err := url.Parse(p.Brokers().URL())
	if err != nil {
		t.Fatal(err)
	}
	password, _ := broker.User.Password()
	return password
}
