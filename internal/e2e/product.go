// Package e2e runs the whole product as processes, on real servers and the sandbox, so that tests can kill any of it.
// It is for tests only. Start with Start.
package e2e

import (
	"cmp"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"castad/internal/servers"
	"castad/internal/testkit"
)

// Options change what Start starts.
type Options struct {
	Env      map[string]string // added to every program's environment
	Database bool              // a database server of its own, so that it can be killed
	Disk     string            // folder of that server's data; "" for one of its own
	Copies   int               // of each program but the sandbox; 0 means 1
	// Brokers are real nats-server processes: 1 on nats.conf, or 3 on nats-cluster.conf with streams of three replicas.
	// 0 is one broker without accounts, in a process of the test's own binary.
	Brokers testkit.BrokerSettings
	// Decides is how long an operator waits for a provider's word before a person's decision; 0 means callbackPatience.
	Decides time.Duration
}

// Product is a running CastAD.
type Product struct {
	t        testing.TB
	dir      string
	env      map[string]string
	ports    map[string]int
	database *servers.MariaDB
	disk     string           // of the database; "" for the test's own folder
	brokers  *testkit.Brokers // nil without Options.Brokers
	copies   int
	turn     atomic.Uint64 // counts the calls of the API, whose copies take turns

	mu        sync.Mutex
	processes map[string]*process
	token     string

	decides time.Duration
	desk    sync.Mutex // of the operator, held while something is decided
	office  *sql.DB
}

// Start starts everything and waits until it is ready. The test's end stops it.
func Start(t testing.TB, o Options) *Product {
	t.Helper()
	p := &Product{t: t, dir: t.TempDir(), ports: map[string]int{}, processes: map[string]*process{}, copies: max(o.Copies, 1),
		decides: cmp.Or(o.Decides, callbackPatience), disk: o.Disk}
	p.findPorts()
	p.env = p.environment(p.openDatabase(o.Database))
	for name, value := range o.Env {
		p.env[name] = value
	}
	t.Cleanup(p.stop)
	p.openBroker(o.Brokers)
	for _, name := range Programs {
		p.Run(name)
	}
	for _, name := range Programs {
		p.Ready(name)
	}
	return p
}

func (p *Product) openDatabase(own bool) (dsn string) {
	if !own {
		return testkit.Database(p.t)
	}
	p.StartDatabase()
	at := p.database.DSN("castad")
	testkit.Apply(p.t, at)
	return at
}

const azuriteKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

func (p *Product) environment(dsn string) map[string]string {
	sandbox := p.Sandbox()
	return map[string]string{
		"CASTAD_MYSQL_DSN": dsn, "CASTAD_NATS_URL": fmt.Sprintf("nats://127.0.0.1:%d", p.ports["broker"]),
		"CASTAD_JWT_KEYS": "test:dGhpcyBpcyBhIGtleSBmb3IgdGVzdHMgYWxvbmUgMTIzNA==", "CASTAD_DEV": "true",
		"CASTAD_PUBLIC_URL": p.at(key("api", 0)),
		"CASTAD_OPENAI_URL": sandbox + "/openai/v1", "CASTAD_OPENAI_KEY": "sk-sandbox", "CASTAD_OPENAI_LOOK": "300ms",
		"CASTAD_OPENAI_TIMEOUT": "10s", "CASTAD_OPENAI_LONGEST": "1s", "CASTAD_FLIGHT": "2s", "CASTAD_ASK_AGAIN": "500ms",
		"CASTAD_SUNO_URL": sandbox + "/suno", "CASTAD_SUNO_KEY": "suno-sandbox", "CASTAD_SUNO_FIRST_LOOK": "0s", "CASTAD_SUNO_LOOK": "300ms",
		"CASTAD_CREATOMATE_URL": sandbox + "/creatomate", "CASTAD_CREATOMATE_KEY": "creatomate-sandbox",
		"CASTAD_CREATOMATE_FIRST_LOOK": "0s", "CASTAD_CREATOMATE_LOOK": "300ms",
		"CASTAD_BLOB_CONNECTION":   "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=" + azuriteKey + ";BlobEndpoint=" + sandbox + "/devstoreaccount1;",
		"CASTAD_FETCH_ALLOW":       strings.TrimPrefix(sandbox, "http://"),
		"CASTAD_NAVER_GRAPHQL_URL": sandbox + "/naver/graphql", "CASTAD_NAVER_PAGE_URL": sandbox + "/naver/place",
		"CASTAD_NAVER_SHORT_URL": sandbox + "/naver/short", "CASTAD_NAVER_MAP_URL": sandbox + "/naver/map",
		"CASTAD_NAVER_SEARCH_URL": sandbox + "/naver/search", "CASTAD_NAVER_INTERVAL": "0s",
		"CASTAD_YOUTUBE_API_URL": sandbox + "/youtube", "CASTAD_YOUTUBE_TOKEN_URL": sandbox + "/google/token", "CASTAD_YOUTUBE_WATCH_URL": sandbox + "/youtube",
		"CASTAD_YOUTUBE_CLIENT_ID": "id", "CASTAD_YOUTUBE_CLIENT_SECRET": "secret", "CASTAD_YOUTUBE_REFRESH_TOKEN": "refresh",
		"CASTAD_INSTAGRAM_URL": sandbox + "/instagram/v25.0", "CASTAD_INSTAGRAM_TOKEN": "token", "CASTAD_INSTAGRAM_USER_ID": "17841400000000001",
		"CASTAD_INSTAGRAM_LOOK": "300ms",
		"CASTAD_SANDBOX_ADDR":   strings.TrimPrefix(sandbox, "http://"), "CASTAD_SANDBOX_DIR": filepath.Join(p.dir, "sandbox"), "CASTAD_SANDBOX_TEMPO": "quick",
		"CASTAD_LEASE": "3s", "CASTAD_BACKOFF_FIRST": "100ms", "CASTAD_BACKOFF_MOST": "2s", "CASTAD_ATTEMPTS": "30", "CASTAD_GRACE": "5s",
	}
}

func (p *Product) stop() {
	p.mu.Lock()
	for _, running := range p.processes {
		_ = running.cmd.Process.Kill()
		<-running.ended
	}
	p.mu.Unlock()
	if p.database != nil {
		p.database.Stop()
	}
	if p.t.Failed() {
		p.printLogs()
	}
}

const logTail = 3000

func (p *Product) printLogs() {
	logs, _ := filepath.Glob(filepath.Join(p.dir, "*.log"))
	for _, path := range logs {
		raw, err := os.ReadFile(path)
		if err == nil && len(raw) > 0 {
			p.t.Logf("%s:\n%s", filepath.Base(path), raw[max(0, len(raw)-logTail):])
		}
	}
}
