package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/internal/testkit"
)

func environment(t *testing.T, dsn, nats string) map[string]string {
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 32)))
	return map[string]string{"CASTAD_MYSQL_DSN": dsn, "CASTAD_NATS_URL": nats, "CASTAD_PREFIX": testkit.Prefix(t), "CASTAD_API_ADDR": "127.0.0.1:0",
		"CASTAD_JWT_KEYS": "k1:" + key, "CASTAD_DEV": "true", "CASTAD_PLACE_LOOKUP": "0s", "CASTAD_BLOB_CONNECTION": "DefaultEndpointsProtocol=http;AccountName=dev;AccountKey=" +
			key + ";BlobEndpoint=http://127.0.0.1:1/dev;"}
}

// addressIn finds the address in the program's first line.
func addressIn(logs string) string {
	for line := range strings.Lines(logs) {
		var entry struct{ Addr string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Addr != "" {
			return entry.Addr
		}
	}
	return ""
}

func TestServe_StartsWithoutTheBrokerAndStopsWithOpenStreams(t *testing.T) {
	t.Parallel()
	nats := testkit.OwnNATS(t)
	env := environment(t, testkit.Database(t), nats.URL())
	nats.Stop()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	logs := &lockedBuffer{}
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, func(name string) string { return env[name] }, logs) }()
	testkit.Eventually(t, "the program listens", func() bool { return addressIn(logs.String()) != "" })
	r := &rig{t: t, url: "http://" + addressIn(logs.String())}
	if a := r.call("GET", "/readyz", "", ""); a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), "the broker is away") {
		t.Errorf("got %d %s, want what is missing", a.status, a.body)
	}
	token := r.login("a", "user")
	taskID := r.submitted(token, goodTask) // accepted although the broker is away: the rows are the outbox
	nats.Start()
	testkit.Eventually(t, "the program is ready", func() bool { return r.call("GET", "/readyz", "", "").status == http.StatusOK })
	s := r.watching(token, taskID, "")
	s.ids(1)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("got %v, want a clean end", err)
	}
	if _, _, ok := s.next(); ok {
		t.Error("the stream went on")
	}
	if !strings.Contains(logs.String(), `"program ended"`) {
		t.Errorf("got %s", logs.String())
	}
}

func TestServe_NamesWhatIsMissingAndNoSecret(t *testing.T) {
	t.Parallel()
	err := serve(t.Context(), func(string) string { return "" }, &lockedBuffer{})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, name := range []string{"CASTAD_MYSQL_DSN", "CASTAD_NATS_URL", "CASTAD_JWT_KEYS", "CASTAD_BLOB_CONNECTION"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error doesn't name %s: %v", name, err)
		}
	}
	env := environment(t, "u:hidden@tcp(127.0.0.1:1)/x", "nats://127.0.0.1:1")
	env["CASTAD_JWT_KEYS"] = "k1:hidden"
	err = serve(t.Context(), func(name string) string { return env[name] }, &lockedBuffer{})
	if err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v, want an error without the secret", err)
	}
	if diff := cmp.Diff(true, strings.Contains(err.Error(), "CASTAD_JWT_KEYS")); diff != "" {
		t.Error(diff)
	}
}
