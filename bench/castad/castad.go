// Package castad is CastAD itself, on its own servers: its API and its relay as they are built for production, and six
// consumers that stand on the product's worker, store and broker packages, with everything that keeps its promises. Only
// what a stage does is the benchmark's: its provider answers at once. With Paid each stage makes one paid call, with its
// intent, its price held and settled in the ledger.
package castad

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/bench/system"
	"castad/events"
	"castad/internal/pipeline"
	"castad/internal/schema"
	"castad/internal/servers"
)

// System is CastAD.
type System struct {
	Paid bool
	Rest time.Duration // for which each task waits for a provider at its first stage
}

// Roles are the programs that the benchmark itself is.
var Roles = map[string]system.Role{"castad/stage": serveStage}

const (
	envPaid = "CASTAD_BENCH_PAID"
	envRest = "CASTAD_BENCH_REST"
)

// Product is a running CastAD.
type Product struct {
	*system.Site
	nc        *nats.Conn
	completed chan string
	stages    atomic.Int64
	api       string
	token     string
	order     []byte
}

// Start starts MariaDB, NATS, the API, the relay and six consumers.
func (s System) Start(ctx context.Context, dir string) (system.Running, error) {
	return s.Open(ctx, dir)
}

// Open is Start for who needs more than a system.Running.
func (s System) Open(ctx context.Context, dir string) (*Product, error) {
	site, err := system.OpenSite(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := &Product{Site: site, completed: make(chan string, 1<<17), order: order()}
	if err := s.start(ctx, r, dir); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

func (s System) start(ctx context.Context, r *Product, dir string) error {
	root, err := source(ctx)
	if err != nil {
		return err
	}
	if err := applySchema(ctx, root, r.Database.AdminDSN("castad")); err != nil {
		return err
	}
	broker, err := system.StartBroker(ctx, r.Programs, dir)
	if err != nil {
		return err
	}
	if err := r.listen(broker); err != nil {
		return err
	}
	env := map[string]string{"CASTAD_MYSQL_DSN": r.DSN, "CASTAD_NATS_URL": broker, "CASTAD_LOG_LEVEL": "warn",
		"CASTAD_DEV": "true", "CASTAD_JWT_KEYS": "bench:dGhpcyBpcyBhIGtleSBmb3IgdGVzdHMgYWxvbmUgMTIzNA==",
		"CASTAD_BLOB_CONNECTION": blobs, "CASTAD_SLOTS": slots, envPaid: "", envRest: s.Rest.String()}
	if s.Paid {
		env[envPaid] = "yes"
	}
	for _, stage := range system.Stages {
		env[system.EnvStage] = stage
		if err := r.Play(ctx, stage, "castad/stage", env); err != nil {
			return err
		}
	}
	return r.programs(ctx, root, dir, env)
}

// blobs is a blob store that nothing here asks for anything; the key is the well-known one of Azure's emulator.
const blobs = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=" +
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:1/devstoreaccount1;"

// slots is how many runs a consumer works on at once: its providers take no time, so few more than it can commit together.
const slots = "128"

// programs builds the real API and relay from the source beside the benchmark, and starts them.
func (r *Product) programs(ctx context.Context, root, dir string, env map[string]string) error {
	if err := build(ctx, root, dir); err != nil {
		return err
	}
	if err := r.Run("relay", exec.Command(filepath.Join(dir, "relay")), env); err != nil {
		return err
	}
	port, _, err := servers.FreePort(0)
	if err != nil {
		return err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	r.api, env["CASTAD_API_ADDR"] = "http://"+addr, addr
	if err := r.Run("api", exec.Command(filepath.Join(dir, "api")), env); err != nil {
		return err
	}
	return r.login(ctx)
}

// source finds CastAD beside the benchmark.
func source(ctx context.Context) (string, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "castad").Output()
	if err != nil {
		return "", fmt.Errorf("find CastAD's source (run the benchmark in its own folder): %w", err)
	}
	return strings.TrimSpace(string(dir)), nil
}

func build(ctx context.Context, root, dir string) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", dir+"/", "./api", "./cmd/relay")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build CastAD: %w\n%s", err, out)
	}
	return nil
}

func applySchema(ctx context.Context, root, dsn string) error {
	at, err := mysql.ParseDSN(dsn)
	if err != nil {
		return fmt.Errorf("read the database's address: %w", err)
	}
	desired, err := os.ReadFile(filepath.Join(root, "schema.sql"))
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	_, err = schema.Apply(ctx, at, string(desired), false)
	return err
}

// login waits for the API and takes a token for development.
func (r *Product) login(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := r.tryLogin(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (r *Product) tryLogin(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.api+"/auth/dev/login", strings.NewReader(`{"nickname":"bench"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		return fmt.Errorf("log in: %s", resp.Status)
	}
	r.token = "Bearer " + answer.Token
	return nil
}

// listen hears of tasks that are completed, as a watcher of the live facts does.
func (r *Product) listen(broker string) error {
	nc, err := nats.Connect(broker)
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	r.nc = nc
	prefix := events.DefaultNames.Subjects + "live."
	sub, err := nc.Subscribe(prefix+"*.*.completed", func(m *nats.Msg) {
		id, rest, _ := strings.Cut(strings.TrimPrefix(m.Subject, prefix), ".")
		if !strings.HasPrefix(rest, string(events.TaskScope)) {
			r.stages.Add(1)
			return
		}
		select {
		case r.completed <- id:
		default: // nobody counts tasks
		}
	})
	if err != nil {
		return fmt.Errorf("hear of completed tasks: %w", err)
	}
	return sub.SetPendingLimits(-1, -1)
}

// order is a submission of about system.PayloadBytes: a place given by hand.
func order() []byte {
	images := make([]string, 8)
	for i := range images {
		images[i] = fmt.Sprintf(`"https://images.example.com/%d/%s.jpg"`, i, strings.Repeat("p", 76))
	}
	return fmt.Appendf(nil, `{"place":{"name":"벤치 펜션","region":"경기 가평군","images":[%s]},"publish":[{"platform":"youtube"}]}`, strings.Join(images, ","))
}

func (r *Product) Accept(ctx context.Context) (string, error) {
	return system.Post(ctx, r.api+"/tasks", r.order, map[string]string{"Authorization": r.token})
}

// API is the address of the API.
func (r *Product) API() string { return r.api }

// Stages counts the stages that were completed so far.
func (r *Product) Stages() int64 { return r.stages.Load() }

// Token is what an Authorization header says.
func (r *Product) Token() string { return r.token }

// Pause stops the first stage, so that tasks are accepted and wait, or lets it go on.
func (r *Product) Pause(ctx context.Context, pause bool) error {
	js, err := jetstream.New(r.nc)
	if err != nil {
		return err
	}
	stream, consumer := events.DefaultNames.WorkStream(), string(events.Crawl)
	if pause {
		_, err = js.PauseConsumer(ctx, stream, consumer, time.Now().Add(time.Hour))
	} else {
		_, err = js.ResumeConsumer(ctx, stream, consumer)
	}
	if err != nil {
		return fmt.Errorf("pause or resume %s: %w", consumer, err)
	}
	return nil
}

// Completed tells of tasks as the live facts do.
func (r *Product) Completed() <-chan string { return r.completed }

const audit = "SELECT (SELECT COUNT(*) FROM `task`), (SELECT COUNT(*) FROM `task` WHERE `status`='completed')," +
	" (SELECT COUNT(*) FROM `task_event` WHERE `what`='completed' AND `stage`<>'task')"

func (r *Product) Audit(ctx context.Context) (system.Audit, error) {
	var a system.Audit
	if err := r.Admin.QueryRowContext(ctx, audit).Scan(&a.Accepted, &a.Completed, &a.Statuses); err != nil {
		return a, fmt.Errorf("read the records: %w", err)
	}
	return a, nil
}

const countRuns = "SELECT COUNT(*) FROM `stage_run` WHERE `stage`='crawl' AND `status`=?"

// Waiting counts the tasks that wait for a provider.
func (r *Product) Waiting(ctx context.Context) (n int, err error) {
	err = r.Admin.QueryRowContext(ctx, countRuns, pipeline.Waiting).Scan(&n)
	return n, err
}

// Ended counts the tasks that are completed.
func (r *Product) Ended(ctx context.Context) (int, error) {
	a, err := r.Audit(ctx)
	return a.Completed, err
}

// Stop ends all of it.
func (r *Product) Stop() {
	if r.nc != nil {
		r.nc.Close()
	}
	r.Site.Stop()
}
