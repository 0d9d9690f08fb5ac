package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
)

// lockedBuffer takes the log lines of a server.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestLog_HasNoWholeTokenNorCallbackToken(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.login("log", "user")
	r.call("GET", "/auth/me", token, "")
	r.call("GET", "/auth/me", token+"x", "")
	r.call("POST", "/hooks/suno/secret-callback-token", "", `{}`)
	logs := r.logs.String()
	if strings.Contains(logs, token) || strings.Contains(logs, token[:len(token)-21]) || strings.Contains(logs, "secret-callback-token") {
		t.Errorf("a token is in the log: %s", logs)
	}
	for _, want := range []string{`"token was issued"`, `"token was checked"`, `"undecodable token was refused"`, token[len(token)-20:],
		`"route":"/hooks/suno/:token"`, `"trace_id"`} {
		if !strings.Contains(logs, want) {
			t.Errorf("the log has no %s", want)
		}
	}
}
