package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// plan is where everything listens, and what the programs are told.
type plan struct {
	ports   ports
	secret  secrets
	own     map[string]string // CASTAD_* of dev's own environment, which win
	quick   bool
	sandbox string // folder of the sandbox's files
}

// owned returns the variables of an environment that are CastAD's; empty ones count as not set.
func owned(environ []string) map[string]string {
	own := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "CASTAD_") && value != "" {
			own[name] = value
		}
	}
	return own
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (p plan) either(name, otherwise string) string {
	if value := p.own[name]; value != "" {
		return value
	}
	return otherwise
}

func (p plan) apiAddr() string { return p.either("CASTAD_API_ADDR", local(p.ports["api"])) }

func (p plan) apiURL() string { return "http://" + p.apiAddr() }

func (p plan) sandboxAddr() string { return p.either("CASTAD_SANDBOX_ADDR", local(p.ports["sandbox"])) }

func (p plan) sandboxURL() string { return "http://" + p.sandboxAddr() }

func (p plan) natsURL() string {
	return p.either("CASTAD_NATS_URL", "nats://castad:"+p.secret.NATS+"@"+local(p.ports["broker"]))
}

// provider is an outside service that the sandbox stands in for.
type provider struct {
	name      string
	real      string // its credentials: when these are set, the real service is meant
	variables map[string]string
}

// azuriteKey is the well-known key of the well-known development account of Azure Storage.
const azuriteKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

func (p plan) providers() []provider {
	at := p.sandboxURL()
	return []provider{
		{"openai", "CASTAD_OPENAI_KEY", map[string]string{"CASTAD_OPENAI_URL": at + "/openai/v1", "CASTAD_OPENAI_KEY": "sk-sandbox", "CASTAD_OPENAI_LOOK": "1s"}},
		{"suno", "CASTAD_SUNO_KEY", map[string]string{"CASTAD_SUNO_URL": at + "/suno", "CASTAD_SUNO_KEY": "sandbox",
			"CASTAD_SUNO_FIRST_LOOK": "2s", "CASTAD_SUNO_LOOK": "1s"}},
		{"creatomate", "CASTAD_CREATOMATE_KEY", map[string]string{"CASTAD_CREATOMATE_URL": at + "/creatomate", "CASTAD_CREATOMATE_KEY": "sandbox",
			"CASTAD_CREATOMATE_FIRST_LOOK": "2s", "CASTAD_CREATOMATE_LOOK": "1s"}},
		{"azure", "CASTAD_BLOB_CONNECTION", map[string]string{"CASTAD_BLOB_CONNECTION": "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=" +
			azuriteKey + ";BlobEndpoint=" + at + "/devstoreaccount1;"}},
		{"naver", "CASTAD_NAVER_CLIENT_ID", map[string]string{"CASTAD_NAVER_GRAPHQL_URL": at + "/naver/graphql", "CASTAD_NAVER_PAGE_URL": at + "/naver/place",
			"CASTAD_NAVER_SHORT_URL": at + "/naver/short", "CASTAD_NAVER_MAP_URL": at + "/naver/map", "CASTAD_NAVER_SEARCH_URL": at + "/naver/search",
			"CASTAD_NAVER_CLIENT_ID": "sandbox", "CASTAD_NAVER_CLIENT_SECRET": "sandbox", "CASTAD_NAVER_INTERVAL": "0s"}},
		{"youtube", "CASTAD_YOUTUBE_REFRESH_TOKEN", map[string]string{"CASTAD_YOUTUBE_API_URL": at + "/youtube", "CASTAD_YOUTUBE_TOKEN_URL": at + "/google/token",
			"CASTAD_YOUTUBE_WATCH_URL": at + "/youtube", "CASTAD_YOUTUBE_CLIENT_ID": "sandbox", "CASTAD_YOUTUBE_CLIENT_SECRET": "sandbox",
			"CASTAD_YOUTUBE_REFRESH_TOKEN": "sandbox"}},
		{"instagram", "CASTAD_INSTAGRAM_TOKEN", map[string]string{"CASTAD_INSTAGRAM_URL": at + "/instagram/v25.0", "CASTAD_INSTAGRAM_TOKEN": "sandbox",
			"CASTAD_INSTAGRAM_USER_ID": "17841400000000001", "CASTAD_INSTAGRAM_LOOK": "1s"}},
	}
}

// realProviders names those that are called for real, because their credentials are set.
func (p plan) realProviders() (names []string) {
	for _, provider := range p.providers() {
		if p.own[provider.real] != "" {
			names = append(names, provider.name)
		}
	}
	return names
}

// wideLimit is what dev allows of each kind: in the sandbox nothing costs, so that load tests pass, and the headers show.
const wideLimit = "60000/1m"

// limits returns wide limits for the API; where a real provider costs, they stay as they are.
func (p plan) limits() map[string]string {
	if len(p.realProviders()) > 0 {
		return nil
	}
	wide := map[string]string{}
	for _, name := range []string{"SUBMITS", "CHANGES", "READS", "STREAMS", "OPEN", "LOGINS"} {
		wide["CASTAD_LIMIT_"+name] = wideLimit
	}
	return wide
}

// environment returns the CASTAD_* variables of all programs. What is set in dev's own environment wins. dsn is of the
// database.
func (p plan) environment(dsn string) map[string]string {
	values := map[string]string{
		"CASTAD_MYSQL_DSN": dsn, "CASTAD_NATS_URL": p.natsURL(), "CASTAD_REDIS_URL": "redis://" + local(p.ports["redis"]),
		"CASTAD_API_ADDR": p.apiAddr(), "CASTAD_PUBLIC_URL": p.apiURL(), "CASTAD_DEV": "true", "CASTAD_JWT_KEYS": p.secret.JWT,
		"CASTAD_SANDBOX_ADDR": p.sandboxAddr(), "CASTAD_SANDBOX_DIR": p.sandbox, "CASTAD_SANDBOX_TEMPO": "real",
	}
	if p.quick {
		values["CASTAD_SANDBOX_TEMPO"] = "quick"
	}
	for _, provider := range p.providers() {
		if p.own[provider.real] == "" {
			maps.Copy(values, provider.variables)
		}
	}
	maps.Copy(values, p.limits())
	maps.Copy(values, p.own)
	// Files of the sandbox may be fetched although they lie on this machine, beside what else is allowed.
	allowed := append(strings.FieldsFunc(p.own["CASTAD_FETCH_ALLOW"], func(r rune) bool { return r == ',' }), p.sandboxAddr())
	values["CASTAD_FETCH_ALLOW"] = strings.Join(allowed, ",")
	delete(values, "CASTAD_HEALTH_ADDR") // each program has its own
	return values
}

// processEnv returns the whole environment of one process: dev's own, and values instead of its CASTAD_* variables.
func processEnv(environ []string, values ...map[string]string) []string {
	var all []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "CASTAD_") {
			all = append(all, entry)
		}
	}
	merged := map[string]string{}
	for _, some := range values {
		maps.Copy(merged, some)
	}
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		all = append(all, name+"="+merged[name])
	}
	return all
}

// left returns what dev.env tells other commands: everything that dev made, and the addresses; no key that was set by
// hand. adminDSN is "" for a database that isn't dev's.
func (p plan) left(values map[string]string, adminDSN string) map[string]string {
	left := map[string]string{"CASTAD_SANDBOX_URL": p.sandboxURL()}
	for name, value := range values {
		if p.own[name] == "" || slices.Contains([]string{"CASTAD_MYSQL_DSN", "CASTAD_NATS_URL", "CASTAD_REDIS_URL", "CASTAD_PUBLIC_URL",
			"CASTAD_API_ADDR", "CASTAD_PREFIX", "CASTAD_FETCH_ALLOW"}, name) {
			left[name] = value
		}
	}
	if adminDSN != "" {
		left["CASTAD_MYSQL_ADMIN_DSN"] = adminDSN
	}
	if at, err := url.Parse(values["CASTAD_NATS_URL"]); err == nil {
		left["CASTAD_NATS_ADDR"] = at.Scheme + "://" + at.Host
		left["CASTAD_NATS_PASSWORD"], _ = at.User.Password()
	}
	if p.own["CASTAD_NATS_URL"] == "" {
		left["CASTAD_NATS_SYS_PASSWORD"] = p.secret.NATSSys
	}
	return left
}
