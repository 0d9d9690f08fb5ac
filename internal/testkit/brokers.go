package testkit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"castad/internal/servers"
)

// Brokers are real nats-server processes on the configuration that the repository has for them: one on nats.conf, or
// three on nats-cluster.conf, with the ports and the store's folder replaced. Nodes are numbered from 0.
type Brokers struct {
	t     testing.TB
	nodes []*node
	links []route
}

// BrokerSettings are what Brokers may be told.
type BrokerSettings struct {
	Nodes int               // 1 or 3
	Links bool              // the nodes reach each other by way of this process, so that Cut works
	Edit  map[string]string // further texts of the configuration with what stands there instead
	Store string            // folder of an only node's store; "" for one of its own
}

// route is the way of one broker to another.
type route struct {
	from, to int
	*Link
}

type node struct {
	name   string
	dir    string // of its configuration and log
	store  string // folder
	client int    // ports
	watch  int
	route  int
	env    []string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{} // nil before the first start
}

const (
	brokerUser     = "castad"
	brokerPassword = "castad-test"
)

// StartBrokers starts them and waits until they serve JetStream. The test's end stops them.
func StartBrokers(t testing.TB, s BrokerSettings) *Brokers {
	t.Helper()
	b := &Brokers{t: t}
	for i := range s.Nodes {
		n := &node{name: fmt.Sprintf("castad-%d", i+1), dir: t.TempDir(), store: s.Store, client: FreePort(t), watch: FreePort(t), route: FreePort(t)}
		if n.store == "" {
			n.store = filepath.Join(n.dir, "store")
		}
		b.nodes = append(b.nodes, n)
	}
	for i, n := range b.nodes {
		n.configure(t, s)
		n.env = []string{"CASTAD_NATS_NODE=" + n.name, "CASTAD_NATS_ROUTES=" + b.routes(i, s.Links), "CASTAD_NATS_ROUTE_PASSWORD=" + brokerPassword,
			"CASTAD_NATS_PASSWORD=" + brokerPassword, "CASTAD_NATS_SYS_PASSWORD=" + brokerPassword}
	}
	t.Cleanup(b.end)
	for i := range b.nodes {
		b.Launch(i)
	}
	b.Ready()
	return b
}

// routes are what node i has to reach, the others and itself, as nats-cluster.conf takes it.
func (b *Brokers) routes(i int, links bool) string {
	var urls []string
	for j, other := range b.nodes {
		at := fmt.Sprintf("127.0.0.1:%d", other.route)
		if links && i != j {
			way := route{i, j, NewLink(b.t, at)}
			b.links = append(b.links, way)
			at = way.Addr()
		}
		urls = append(urls, fmt.Sprintf(`"nats-route://%s:%s@%s"`, brokerUser, brokerPassword, at))
	}
	return "[" + strings.Join(urls, ", ") + "]"
}

// configure copies the repository's configuration into the node's folder with other addresses.
func (n *node) configure(t testing.TB, s BrokerSettings) {
	t.Helper()
	edits := map[string]string{
		"listen: 0.0.0.0:4222": fmt.Sprintf("listen: 127.0.0.1:%d", n.client),
		"http: 127.0.0.1:8222": fmt.Sprintf("http: 127.0.0.1:%d", n.watch),
		`"/var/lib/nats"`:      fmt.Sprintf("%q", n.store),
	}
	route := fmt.Sprintf("listen: 127.0.0.1:%d", n.route)
	if s.Links {
		route += "\n  advertise: \"127.0.0.1:1\"" // nobody is told a way around the links
	}
	if s.Nodes > 1 {
		edits["listen: 0.0.0.0:6222"] = route
	}
	for old, instead := range s.Edit {
		edits[old] = instead
	}
	missing := copyEdited(t, []string{"nats.conf", "nats-cluster.conf"}, n.dir, edits)
	if len(missing) > 0 {
		t.Fatalf("the brokers' configuration doesn't have %q any more", missing)
	}
}

// copyEdited copies files of the repository, and returns the texts that none of them has.
func copyEdited(t testing.TB, names []string, dir string, edits map[string]string) (missing []string) {
	t.Helper()
	found := map[string]bool{}
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(Root(), name))
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		for old, instead := range edits {
			found[old] = found[old] || strings.Contains(text, old)
			text = strings.ReplaceAll(text, old, instead)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for old := range edits {
		if !found[old] {
			missing = append(missing, old)
		}
	}
	return missing
}

// program builds nats-server once, of the version in go.mod; the Go tool keeps it.
var program = sync.OnceValues(func() (string, error) {
	find := exec.Command("go", "tool", "-n", "nats-server")
	find.Dir = Root()
	out, err := find.Output()
	if err != nil {
		return "", fmt.Errorf("build nats-server: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
})

// Launch starts a node again without waiting for it: of a cluster that has ended, none is ready alone.
func (b *Brokers) Launch(i int) {
	b.t.Helper()
	path, err := program()
	if err != nil {
		b.t.Fatal(err)
	}
	n, config := b.nodes[i], "nats.conf"
	if len(b.nodes) > 1 {
		config = "nats-cluster.conf"
	}
	log, err := os.OpenFile(filepath.Join(n.dir, "nats.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(path, "-c", config)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = n.dir, n.env, log, log
	if err := servers.StartDependent(cmd); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan struct{})
	n.mu.Lock()
	n.cmd, n.ended = cmd, ended
	n.mu.Unlock()
	go func() { _ = cmd.Wait(); close(ended) }()
}

// Start starts a node again, on the store that it has, and waits until it serves.
func (b *Brokers) Start(i int) {
	b.t.Helper()
	b.Launch(i)
	b.await(i)
}

// Ready waits until all nodes serve JetStream and have all that they should have.
func (b *Brokers) Ready() {
	b.t.Helper()
	for i := range b.nodes {
		b.await(i)
	}
}

func (b *Brokers) await(i int) {
	b.t.Helper()
	Eventually(b.t, b.nodes[i].name+" is ready", func() bool {
		<-time.After(healthEvery) // it logs each no
		return b.nodes[i].healthy()
	})
}

const healthEvery = 20 * time.Millisecond

// healthy asks the page that a supervisor would ask: it tells when a stream or a consumer of the node isn't as it should be.
func (n *node) healthy() bool { return n.monitor("/healthz", nil) == nil }

// Monitor reads a page of a node's monitoring into out. A page that says that something is wrong is an error.
func (b *Brokers) Monitor(i int, path string, out any) error { return b.nodes[i].monitor(path, out) }

func (n *node) monitor(path string, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", n.watch, path), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s of %s: status %d: %s", path, n.name, resp.StatusCode, raw)
	}
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(raw, out)
}

// Kill ends a node with kill -9.
func (b *Brokers) Kill(i int) { b.nodes[i].end(syscall.SIGKILL) }

// Stop ends a node in an orderly way, and waits for it.
func (b *Brokers) Stop(i int) { b.nodes[i].end(syscall.SIGTERM) }

// Retire is lame duck mode: the node sends its clients away one by one, and ends.
func (b *Brokers) Retire(i int) { b.nodes[i].end(syscall.SIGUSR2) }

// Pause stops a node's process without ending it; its connections stay open and mute.
func (b *Brokers) Pause(i int) { b.nodes[i].signal(syscall.SIGSTOP) }

// Continue lets a paused node go on.
func (b *Brokers) Continue(i int) { b.nodes[i].signal(syscall.SIGCONT) }

func (n *node) signal(s syscall.Signal) (ended chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended != nil {
		_ = n.cmd.Process.Signal(s)
	}
	return n.ended
}

func (n *node) end(s syscall.Signal) {
	if ended := n.signal(s); ended != nil {
		<-ended
	}
}

// Wipe removes the store of a node that has ended.
func (b *Brokers) Wipe(i int) {
	b.t.Helper()
	if err := os.RemoveAll(b.nodes[i].store); err != nil {
		b.t.Fatal(err)
	}
}

// Store returns the folder of a node's store.
func (b *Brokers) Store(i int) string { return b.nodes[i].store }

// Process returns a node's process id.
func (b *Brokers) Process(i int) int {
	b.nodes[i].mu.Lock()
	defer b.nodes[i].mu.Unlock()
	return b.nodes[i].cmd.Process.Pid
}

// Len returns the number of nodes.
func (b *Brokers) Len() int { return len(b.nodes) }

// URL returns the addresses of all nodes, as CASTAD_NATS_URL takes them.
func (b *Brokers) URL() string {
	var urls []string
	for _, n := range b.nodes {
		urls = append(urls, fmt.Sprintf("nats://%s:%s@127.0.0.1:%d", brokerUser, brokerPassword, n.client))
	}
	return strings.Join(urls, ",")
}

const brokerLogTail = 6000

func (b *Brokers) end() {
	for _, n := range b.nodes {
		n.end(syscall.SIGKILL)
		if raw, err := os.ReadFile(filepath.Join(n.dir, "nats.log")); err == nil && b.t.Failed() {
			b.t.Logf("%s:\n%s", n.name, raw[max(0, len(raw)-brokerLogTail):])
		}
	}
}

// Cut takes a node away from the others, both ways; programs still reach it.
func (b *Brokers) Cut(i int) { b.set(i, (*Link).Cut) }

// Mend undoes Cut.
func (b *Brokers) Mend(i int) { b.set(i, (*Link).Mend) }

func (b *Brokers) set(i int, do func(*Link)) {
	b.t.Helper()
	if len(b.links) == 0 {
		b.t.Fatal("these brokers were started without links")
	}
	for _, l := range b.links {
		if l.from == i || l.to == i {
			do(l.Link)
		}
	}
}
