package servers_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/internal/servers"
)

func broker(t *testing.T, dir string) *servers.NATS {
	t.Helper()
	n, err := servers.StartNATS(servers.NATSSettings{Config: "../../nats.conf", Dir: dir, Port: -1, MonitorPort: -1,
		Password: "7correct-horse", SysPassword: "7battery-staple"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Stop)
	return n
}

func stream(t *testing.T, n *servers.NATS) jetstream.Stream {
	t.Helper()
	conn, err := nats.Connect(n.URL(), nats.UserInfo("castad", "7correct-horse"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept.>"}, MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "kept.one", []byte("1")); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNATS_KeepsMessagesOverRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for want := uint64(1); want <= 2; want++ {
		n := broker(t, dir)
		info, err := stream(t, n).Info(t.Context())
		if err != nil || info.State.Msgs != want {
			t.Fatalf("start %d: %d messages, %v", want, info.State.Msgs, err)
		}
		n.Stop()
	}
}

func TestNATS_RefusesStrangers(t *testing.T) {
	t.Parallel()
	n := broker(t, t.TempDir())
	for _, who := range []nats.Option{nats.UserInfo("castad", "wrong"), nats.UserInfo("sys", "7correct-horse"), nats.Name("nobody")} {
		conn, err := nats.Connect(n.URL(), who)
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("a stranger connects: %v", err)
		}
	}
	for _, entry := range os.Environ() {
		if strings.Contains(entry, "7correct-horse") || strings.Contains(entry, "7battery-staple") {
			t.Error("a password is left in the environment")
		}
	}
}

func TestNATS_TakenPortIsSaid(t *testing.T) {
	t.Parallel()
	n := broker(t, t.TempDir())
	port, _, err := servers.FreePort(0)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := servers.StartNATS(servers.NATSSettings{Dir: t.TempDir(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(taken.Stop)
	if second, err := servers.StartNATS(servers.NATSSettings{Dir: t.TempDir(), Port: port}); err == nil {
		second.Stop()
		t.Errorf("two brokers on one port, beside %s", n.URL())
	} else if !strings.Contains(err.Error(), "the port is taken") {
		t.Errorf("second broker: %v", err)
	}
}
