// Package e2e runs the whole product as processes, on real servers and the sandbox, so that tests can kill any of it.
// It is for tests only. Start with Start.
package e2e

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"castad/internal/servers"
	"castad/internal/testkit"
)

// Programs are all that a product consists of, in the order in which they start.
var Programs = []string{"sandbox", "api", "relay", "crawl", "intel", "lyric", "song", "video", "upload"}

// Options change what Start starts.
type Options struct {
	Env      map[string]string // added to every program's environment
	Database bool              // a database server of its own, so that it can be killed
	Copies   int               // of each consumer; 0 means 1
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
	brokers  *testkit.Brokers // nil without Options.Brokers
	copies   int

	mu        sync.Mutex
	processes map[string]*process
	token     string

	// Decided holds the calls ("provider:task/stage") whose outcome nobody knew and that were made again, as a person
	// would decide.
	Decided map[string]bool
	decides time.Duration
	desk    sync.Mutex // of the operator, held while something is decided
	office  *sql.DB
}

// process is one program, or the broker.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// leftover is the folder that Main removes when all tests have ended.
var leftover string

// binaries builds all programs once for the test process.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "castad-bin-")
	if err != nil {
		return "", err
	}
	leftover = dir
	// The tag gives each step boundary a name at which a process can be told to die; without being told it changes nothing.
	build := exec.Command("go", "build", "-tags", "crashpoints", "-o", dir+"/", "./api", "./consumers/...", "./cmd/sandbox", "./cmd/relay", "./cmd/castad")
	build.Dir = testkit.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
})

// Start starts everything and waits until it is ready. The test's end stops it.
func Start(t testing.TB, o Options) *Product {
	t.Helper()
	p := &Product{t: t, dir: t.TempDir(), ports: map[string]int{}, processes: map[string]*process{}, Decided: map[string]bool{}, copies: max(o.Copies, 1),
		decides: cmp.Or(o.Decides, callbackPatience)}
	for _, name := range append([]string{"broker", "api's health"}, Programs...) {
		p.ports[name] = testkit.FreePort(t)
	}
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
		testkit.Eventually(t, name+" is ready", func() bool { return p.ready(name) })
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

// StartDatabase starts the product's own database server, on the data that it had before.
func (p *Product) StartDatabase() {
	p.t.Helper()
	if p.ports["database"] == 0 {
		p.ports["database"] = testkit.FreePort(p.t)
	}
	m, err := servers.StartMariaDB(context.Background(), servers.MariaDBSettings{Dir: filepath.Join(p.dir, "db"), Port: p.ports["database"], Test: true})
	if err != nil {
		p.t.Fatal(err)
	}
	p.database = m
}

// KillDatabase ends the product's own database server with kill -9.
func (p *Product) KillDatabase() {
	p.t.Helper()
	if err := syscall.Kill(p.database.Process(), syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	<-p.database.Ended()
}

func (p *Product) address(name string) string {
	return fmt.Sprintf("http://127.0.0.1:%d", p.ports[name])
}

// Sandbox returns the sandbox's address.
func (p *Product) Sandbox() string { return p.address("sandbox") }

const azuriteKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

func (p *Product) environment(dsn string) map[string]string {
	sandbox := p.Sandbox()
	return map[string]string{
		"CASTAD_MYSQL_DSN": dsn, "CASTAD_NATS_URL": fmt.Sprintf("nats://127.0.0.1:%d", p.ports["broker"]),
		"CASTAD_JWT_KEYS": "test:dGhpcyBpcyBhIGtleSBmb3IgdGVzdHMgYWxvbmUgMTIzNA==", "CASTAD_DEV": "true",
		"CASTAD_API_ADDR":   fmt.Sprintf("127.0.0.1:%d", p.ports["api"]),
		"CASTAD_PUBLIC_URL": fmt.Sprintf("http://127.0.0.1:%d", p.ports["api"]),
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

// Run starts a program; a consumer as many times as the options say.
func (p *Product) Run(name string) { p.run(name, "") }

// RunUntil starts one copy of a program in place of the running ones, and returns what is closed when it has died at a
// crash point (internal/crash).
func (p *Product) RunUntil(name, point string) (died <-chan struct{}) {
	p.t.Helper()
	p.Kill(name)
	p.run(name, point)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.processes[p.key(name, 0)].ended
}

// run starts a program with a crash point; "" for none.
func (p *Product) run(name, point string) {
	p.t.Helper()
	dir, err := binaries()
	if err != nil {
		p.t.Fatal(err)
	}
	for i := range p.copiesOf(name) {
		env := map[string]string{}
		if point != "" {
			env["CASTAD_CRASH"] = point
		}
		if i == 0 && name != "sandbox" {
			env["CASTAD_HEALTH_ADDR"] = fmt.Sprintf("127.0.0.1:%d", p.health(name))
		}
		p.launch(p.key(name, i), exec.Command(filepath.Join(dir, name)), env)
	}
}

// health returns the port of a program's health checks and metrics. The API's own port is for everybody.
func (p *Product) health(name string) int {
	if name == "api" {
		return p.ports["api's health"]
	}
	return p.ports[name]
}

func (p *Product) copiesOf(name string) int {
	switch name {
	case "broker", "sandbox", "api", "relay":
		return 1
	}
	return p.copies
}

func (p *Product) key(name string, copy int) string { return fmt.Sprintf("%s-%d", name, copy) }

// brokerEnv makes a test binary a broker; see Main.
const brokerEnv = "CASTAD_E2E_BROKER"

// openBroker starts the brokers that were asked for.
func (p *Product) openBroker(s testkit.BrokerSettings) {
	p.t.Helper()
	if s.Nodes == 0 {
		p.StartBroker()
		return
	}
	p.brokers = testkit.StartBrokers(p.t, s)
	p.env["CASTAD_NATS_URL"], p.env["CASTAD_NATS_REPLICAS"] = p.brokers.URL(), strconv.Itoa(s.Nodes)
}

// Brokers returns the brokers of Options.Brokers.
func (p *Product) Brokers() *testkit.Brokers { return p.brokers }

// StartBroker starts the broker as a process, on the store that it had before.
func (p *Product) StartBroker() {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	p.launch(p.key("broker", 0), exec.Command(self), map[string]string{brokerEnv: fmt.Sprintf("%d %s", p.ports["broker"], filepath.Join(p.dir, "nats"))})
	testkit.Eventually(p.t, "the broker takes connections", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.ports["broker"]))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// WipeBroker removes the store of a broker that isn't running.
func (p *Product) WipeBroker() {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(p.dir, "nats")); err != nil {
		p.t.Fatal(err)
	}
}

// Main is TestMain for packages that use Start: the same binary serves as the broker's process.
func Main(m *testing.M) {
	if settings := os.Getenv(brokerEnv); settings != "" {
		var port int
		var dir string
		if _, err := fmt.Sscanf(settings, "%d %s", &port, &dir); err != nil {
			panic(err)
		}
		if _, err := servers.StartNATS(servers.NATSSettings{Dir: dir, Port: port}); err != nil {
			panic(err)
		}
		select {}
	}
	code := m.Run()
	if leftover != "" {
		os.RemoveAll(leftover)
	}
	os.Exit(code)
}

func (p *Product) launch(key string, cmd *exec.Cmd, env map[string]string) {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, key+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for _, values := range []map[string]string{p.env, env} {
		for name, value := range values {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := servers.StartDependent(cmd); err != nil {
		p.t.Fatal(err)
	}
	started := &process{cmd: cmd, ended: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(started.ended) }()
	p.mu.Lock()
	p.processes[key] = started
	p.mu.Unlock()
}

// Kill ends a program, or the broker, with kill -9, all its copies.
func (p *Product) Kill(name string) { p.signal(name, syscall.SIGKILL) }

// Stop ends a program in an orderly way, and waits for it.
func (p *Product) Stop(name string) { p.signal(name, syscall.SIGTERM) }

// Pause stops a program's processes where they are, and Continue lets them go on: as after a long halt of a machine.
func (p *Product) Pause(name string) { p.tell(name, syscall.SIGSTOP) }

// Continue lets a paused program go on.
func (p *Product) Continue(name string) { p.tell(name, syscall.SIGCONT) }

func (p *Product) tell(name string, signal syscall.Signal) {
	for i := range p.copiesOf(name) {
		p.mu.Lock()
		running := p.processes[p.key(name, i)]
		p.mu.Unlock()
		_ = running.cmd.Process.Signal(signal)
	}
}

func (p *Product) signal(name string, signal syscall.Signal) {
	for i := range p.copiesOf(name) {
		p.mu.Lock()
		running := p.processes[p.key(name, i)]
		p.mu.Unlock()
		_ = running.cmd.Process.Signal(signal)
		<-running.ended
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

func (p *Product) ready(name string) bool {
	path := "/readyz"
	if name == "sandbox" {
		path = "/healthz"
	}
	resp, err := http.Get(p.address(name) + path)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Call asks the API, decodes its answer into out (nil for none), and returns the status. A request that doesn't come
// through is an error.
func (p *Product) Call(method, path string, header map[string]string, body io.Reader, out any) (int, error) {
	req, err := http.NewRequest(method, p.address("api")+path, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, err
	}
	if out != nil && resp.StatusCode < 300 {
		return resp.StatusCode, json.Unmarshal(raw, out)
	}
	if resp.StatusCode >= 300 {
		err = errors.New(string(raw))
	}
	return resp.StatusCode, err
}

// Login takes a development token for all further calls.
func (p *Product) Login() {
	p.t.Helper()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if _, err := p.Call("POST", "/auth/dev/login", nil, strings.NewReader(`{"nickname":"tester"}`), &answer); err != nil {
		p.t.Fatal(err)
	}
	p.token = answer.AccessToken
}

// Submit posts a task until it is accepted, under one idempotency key, and returns its id.
func (p *Product) Submit(key, body string) string {
	p.t.Helper()
	var task struct {
		TaskID string `json:"task_id"`
	}
	testkit.Eventually(p.t, "the submission "+key+" is accepted", func() bool {
		status, err := p.Call("POST", "/tasks", map[string]string{"Idempotency-Key": key}, strings.NewReader(body), &task)
		if status >= 400 && status < 500 {
			p.t.Fatalf("submission %s is refused: %v", key, err)
		}
		return err == nil
	})
	return task.TaskID
}

// Task is what the API says of a task.
type Task struct {
	TaskID   string `json:"task_id"`
	Status   string `json:"status"`
	Name     string `json:"name"`
	Code     string `json:"code"`
	Reason   string `json:"reason"`
	VideoURL string `json:"video_url"`
	Posts    []struct {
		Platform string `json:"platform"`
		URL      string `json:"url"`
		Title    string `json:"title"`
	} `json:"posts"`
	Stages []struct {
		Stage    string `json:"stage"`
		Status   string `json:"status"`
		Revision int    `json:"revision"`
		Code     string `json:"code"`
		Reason   string `json:"reason"`
	} `json:"stages"`
}

// Task asks the API for a task.
func (p *Product) Task(id string) (Task, error) {
	var task Task
	_, err := p.Call("GET", "/tasks/"+id, nil, nil, &task)
	return task, err
}

// patience is how long a whole load may take for what takes seconds on a machine of its own.
const patience = 4 * time.Minute

// Completed waits until all tasks are completed. A task that fails ends the test with its reason.
func (p *Product) Completed(ids ...string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for _, id := range ids {
		var last Task
		for last.Status != "completed" {
			if task, err := p.Task(id); err == nil {
				last = task
			}
			if last.waitsForWord() {
				p.decide()
			}
			if last.Status == "failed" || time.Now().After(deadline) {
				p.t.Fatalf("task %s is %q: %s %s; stages %+v", id, last.Status, last.Code, last.Reason, last.Stages)
			}
			if last.Status != "completed" {
				<-time.After(20 * time.Millisecond)
			}
		}
	}
}

// castad runs the operators' command line and returns what it printed.
func (p *Product) castad(args ...string) string {
	p.t.Helper()
	dir, err := binaries()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "castad"), args...)
	cmd.Dir, cmd.Env = p.dir, []string{"CASTAD_MYSQL_DSN=" + p.env["CASTAD_MYSQL_DSN"]}
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Logf("castad %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// Fault makes calls to the sandbox fail, as a JSON object that POST /admin/faults there takes.
func (p *Product) Fault(fault string) {
	p.t.Helper()
	resp, err := http.Post(p.Sandbox()+"/admin/faults", "application/json", strings.NewReader(fault))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		p.t.Fatalf("the sandbox doesn't take the fault %s: status %d", fault, resp.StatusCode)
	}
}

// FaultN has the next n orders at a provider go wrong that hold a text.
func (p *Product) FaultN(provider, contains, what string, n int) {
	p.t.Helper()
	p.Fault(fmt.Sprintf(`{"provider":%q,"call":"create","contains":%q,"what":%q,"count":%d}`, provider, contains, what, n))
}

// Bill is what a real account would have been charged, as the sandbox counts it.
type Bill struct {
	Providers map[string]struct {
		Calls  int   `json:"calls"`
		Micros int64 `json:"micros"`
	} `json:"providers"`
	Marks map[string]int `json:"marks"`
}

// Bill asks the sandbox.
func (p *Product) Bill() Bill {
	p.t.Helper()
	resp, err := http.Get(p.Sandbox() + "/bill")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var bill Bill
	if err := json.NewDecoder(resp.Body).Decode(&bill); err != nil {
		p.t.Fatal(err)
	}
	return bill
}
