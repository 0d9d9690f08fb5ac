package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testPlan(own map[string]string) plan {
	return plan{ports: ports{"api": 8080, "sandbox": 9700, "broker": 4222, "redis": 36379}, secret: secrets{JWT: "dev:a2V5", NATS: "natspass", NATSSys: "syspass"},
		own: own, sandbox: "/state/sandbox"}
}

// chosen returns some of a map's values.
func chosen(values map[string]string, names ...string) map[string]string {
	some := map[string]string{}
	for _, name := range names {
		if value, ok := values[name]; ok {
			some[name] = value
		}
	}
	return some
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		own  map[string]string
		want map[string]string // "" for what isn't set
	}{
		{"all is dev's", nil, map[string]string{
			"CASTAD_MYSQL_DSN": "dsn", "CASTAD_NATS_URL": "nats://castad:natspass@127.0.0.1:4222", "CASTAD_API_ADDR": "127.0.0.1:8080",
			"CASTAD_PUBLIC_URL": "http://127.0.0.1:8080", "CASTAD_FETCH_ALLOW": "127.0.0.1:9700", "CASTAD_SUNO_URL": "http://127.0.0.1:9700/suno",
			"CASTAD_SANDBOX_TEMPO": "real", "CASTAD_DEV": "true", "CASTAD_JWT_KEYS": "dev:a2V5"}},
		{"own values win", map[string]string{"CASTAD_NATS_URL": "nats://elsewhere", "CASTAD_SUNO_LOOK": "9s", "CASTAD_SLOTS": "3"}, map[string]string{
			"CASTAD_NATS_URL": "nats://elsewhere", "CASTAD_SUNO_LOOK": "9s", "CASTAD_SLOTS": "3", "CASTAD_SUNO_URL": "http://127.0.0.1:9700/suno"}},
		{"a real key means the real provider", map[string]string{"CASTAD_SUNO_KEY": "real"}, map[string]string{
			"CASTAD_SUNO_KEY": "real", "CASTAD_SUNO_URL": "", "CASTAD_SUNO_LOOK": "", "CASTAD_OPENAI_URL": "http://127.0.0.1:9700/openai/v1"}},
		{"limits are wide", nil, map[string]string{
			"CASTAD_REDIS_URL": "redis://127.0.0.1:36379", "CASTAD_LIMIT_SUBMITS": "60000/1m", "CASTAD_LIMIT_LOGINS": "60000/1m"}},
		{"limits of its own", map[string]string{"CASTAD_LIMIT_SUBMITS": "1/1h"}, map[string]string{
			"CASTAD_LIMIT_SUBMITS": "1/1h", "CASTAD_LIMIT_READS": "60000/1m"}},
		{"the usual limits where it costs", map[string]string{"CASTAD_SUNO_KEY": "real"}, map[string]string{
			"CASTAD_LIMIT_SUBMITS": "", "CASTAD_LIMIT_LOGINS": ""}},
		{"what may be fetched is added to", map[string]string{"CASTAD_FETCH_ALLOW": "10.0.0.1:80"}, map[string]string{
			"CASTAD_FETCH_ALLOW": "10.0.0.1:80,127.0.0.1:9700"}},
		{"no two programs on one health port", map[string]string{"CASTAD_HEALTH_ADDR": "127.0.0.1:1"}, map[string]string{"CASTAD_HEALTH_ADDR": ""}},
		{"an address of the API's own", map[string]string{"CASTAD_API_ADDR": "127.0.0.1:9"}, map[string]string{
			"CASTAD_API_ADDR": "127.0.0.1:9", "CASTAD_PUBLIC_URL": "http://127.0.0.1:9"}},
	} {
		values := testPlan(c.own).environment("dsn")
		for name, want := range c.want {
			if got, ok := values[name]; got != want || ok != (want != "") {
				t.Errorf("%s: %s = %q, want %q", c.name, name, got, want)
			}
		}
	}
}

func TestOwned_EmptyIsNotSet(t *testing.T) {
	t.Parallel()
	got := owned([]string{"PATH=/bin", "CASTAD_A=1=2", "CASTAD_B="})
	if diff := cmp.Diff(got, map[string]string{"CASTAD_A": "1=2"}); diff != "" {
		t.Errorf("owned (-got +want):\n%s", diff)
	}
}

func TestProcessEnv_LaterValuesWin(t *testing.T) {
	t.Parallel()
	got := processEnv([]string{"PATH=/bin", "CASTAD_A=old"}, map[string]string{"CASTAD_A": "1", "CASTAD_B": "1"}, map[string]string{"CASTAD_B": "2"})
	if diff := cmp.Diff(got, []string{"PATH=/bin", "CASTAD_A=1", "CASTAD_B=2"}); diff != "" {
		t.Errorf("environment (-got +want):\n%s", diff)
	}
}

func TestLeft_HoldsAddressesAndNoKeysSetByHand(t *testing.T) {
	t.Parallel()
	p := testPlan(map[string]string{"CASTAD_SUNO_KEY": "real", "CASTAD_NATS_URL": "nats://me:other@broker:4222"})
	got := p.left(p.environment("dsn"), "admin")
	want := map[string]string{"CASTAD_NATS_URL": "nats://me:other@broker:4222", "CASTAD_NATS_ADDR": "nats://broker:4222", "CASTAD_NATS_PASSWORD": "other",
		"CASTAD_MYSQL_ADMIN_DSN": "admin", "CASTAD_OPENAI_KEY": "sk-sandbox"}
	names := []string{"CASTAD_NATS_URL", "CASTAD_NATS_ADDR", "CASTAD_NATS_PASSWORD", "CASTAD_NATS_SYS_PASSWORD", "CASTAD_SUNO_KEY",
		"CASTAD_MYSQL_ADMIN_DSN", "CASTAD_OPENAI_KEY"}
	if diff := cmp.Diff(chosen(got, names...), want); diff != "" {
		t.Errorf("dev.env (-got +want):\n%s", diff)
	}
}

func TestWriteEnv_ShellReadsItBack(t *testing.T) {
	t.Parallel()
	at := state(t.TempDir())
	want := `a:b@tcp(127.0.0.1:1)/x?y='$HOME' "z"`
	if err := at.writeEnv(map[string]string{"CASTAD_MYSQL_DSN": want}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", ". "+at.path(envFile)+`; printf %s "$CASTAD_MYSQL_DSN"`).Output()
	if err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("the shell reads %q, %v; want %q", out, err, want)
	}
}
