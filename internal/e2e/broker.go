package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/internal/servers"
	"castad/internal/testkit"
)

// brokerEnv makes a test binary a broker; see Main.
const brokerEnv = "CASTAD_E2E_BROKER"

// serveBroker is a broker at a port with its store in a folder ("port folder"), until somebody ends the process.
func serveBroker(settings string) {
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
	p.launch(key("broker", 0), exec.Command(self), map[string]string{brokerEnv: fmt.Sprintf("%d %s", p.ports["broker"], filepath.Join(p.dir, "nats"))})
	testkit.Eventually(p.t, "the broker takes connections", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.ports["broker"]))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// jetStream connects to the broker; done ends the connection.
func (p *Product) jetStream(timeout time.Duration) (js jetstream.JetStream, done func(), err error) {
	conn, err := nats.Connect(p.env["CASTAD_NATS_URL"], nats.Timeout(timeout))
	if err != nil {
		return nil, nil, err
	}
	js, err = jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return js, conn.Close, nil
}

// WipeBroker removes the store of a broker that isn't running.
func (p *Product) WipeBroker() {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(p.dir, "nats")); err != nil {
		p.t.Fatal(err)
	}
}
