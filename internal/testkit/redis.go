package testkit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"syscall"
	"testing"

	"castad/internal/servers"
)

// RedisServer is a Redis of a test's own, which can be stopped and started again.
type RedisServer struct {
	t       testing.TB
	addr    string
	launch  func(t testing.TB, addr string) (stop func())
	running func() // stops it; nil while it doesn't run
}

// Ports that no outgoing connection gets by itself: one would keep a stopped server from starting again.
const firstPort, ports = 20_000, 12_000

// EachRedis runs a test on every Redis that there is: the embedded one, and redis-server where it is on PATH. Only the
// embedded one is always there; a real one is the judge of whether we use no more than both know.
func EachRedis(t *testing.T, test func(t *testing.T, r *RedisServer)) {
	t.Helper()
	kinds := map[string]func(testing.TB, string) func(){"miniredis": embeddedRedis}
	if path, err := exec.LookPath("redis-server"); err == nil {
		kinds["redis-server"] = func(t testing.TB, addr string) func() { return realRedis(t, path, addr) }
	}
	for name, launch := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port, _, err := servers.FreePort(firstPort + rand.N(ports))
			if err != nil {
				t.Fatal(err)
			}
			r := &RedisServer{t: t, addr: fmt.Sprintf("127.0.0.1:%d", port), launch: launch}
			t.Cleanup(r.Stop)
			r.Start()
			test(t, r)
		})
	}
}

// Start starts the server, always at the same address and empty.
func (r *RedisServer) Start() {
	r.t.Helper()
	r.running = r.launch(r.t, r.addr)
}

// Stop ends the server with all that it knows.
func (r *RedisServer) Stop() {
	if r.running != nil {
		r.running()
		r.running = nil
	}
}

// URL returns the server's address.
func (r *RedisServer) URL() string { return "redis://" + r.addr }

// Addr returns the server's host and port.
func (r *RedisServer) Addr() string { return r.addr }

func embeddedRedis(t testing.TB, addr string) (stop func()) {
	t.Helper()
	m, err := servers.StartRedis(addr)
	if err != nil {
		t.Fatal(err)
	}
	return m.Close
}

// realRedis starts redis-server without any file, and kills it at its end.
func realRedis(t testing.TB, path, addr string) (stop func()) {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := servers.StartDependent(cmd); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	Eventually(t, "redis-server at "+addr+" answers", func() bool { return pongs(addr) })
	return func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		<-ended
	}
}

func pongs(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	answer := make([]byte, len("+PONG\r\n"))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	n, err := conn.Read(answer)
	return err == nil && string(answer[:n]) == "+PONG\r\n"
}
