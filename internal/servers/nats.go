package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATS is the real server, in this process.
type NATS struct {
	server *server.Server
}

// NATSSettings are what the configuration file leaves to the one who starts it.
type NATSSettings struct {
	Config      string // path of nats.conf; "" for a server without accounts, for tests
	Dir         string // of the store
	Port        int    // -1 for any free one
	MonitorPort int    // 0 for none, -1 for any
	Password    string // of the user castad
	SysPassword string // of the user sys
}

const (
	natsReady = 20 * time.Second
	// Streams reserve the bytes that they may grow to, and many tests share a broker.
	reservable = 1 << 45
)

// StartNATS starts the broker on loopback with its store in a folder, and waits until it takes connections.
func StartNATS(s NATSSettings) (*NATS, error) {
	opts := &server.Options{JetStream: true, NoLog: true, JetStreamMaxStore: reservable}
	if s.Config != "" {
		var err error
		if opts, err = fromFile(s); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the broker's folder: %w", err)
	}
	if err := free(s.Port, s.MonitorPort); err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	opts.Host, opts.Port, opts.StoreDir, opts.NoSigs = "127.0.0.1", s.Port, s.Dir, true
	if s.MonitorPort != 0 {
		opts.HTTPHost, opts.HTTPPort = "127.0.0.1", s.MonitorPort
	} else {
		opts.HTTPPort = 0
	}
	started, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("set up the broker: %w", err)
	}
	if s.Config != "" {
		opts.LogFile = filepath.Join(s.Dir, "nats.log")
		started.ConfigureLogger()
	}
	started.Start()
	if !started.ReadyForConnections(natsReady) {
		started.Shutdown()
		return nil, fmt.Errorf("the broker doesn't take connections on port %d within %s; its log is %s", s.Port, natsReady, filepath.Join(s.Dir, "nats.log"))
	}
	return &NATS{server: started}, nil
}

// free tells at once what the server would only log.
func free(ports ...int) error {
	for _, port := range ports {
		if port <= 0 {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return fmt.Errorf("the port is taken: %w", err)
		}
		listener.Close()
	}
	return nil
}

// fromFile reads the same file that a nats-server of its own would. The file takes passwords from the environment;
// here they are put before its text as variables of the file, so that no environment holds them.
func fromFile(s NATSSettings) (*server.Options, error) {
	raw, err := os.ReadFile(s.Config)
	if err != nil {
		return nil, fmt.Errorf("read the broker's settings: %w", err)
	}
	if s.Password == "" || s.SysPassword == "" {
		return nil, errors.New("the broker's users need passwords")
	}
	text := fmt.Sprintf("CASTAD_NATS_PASSWORD: %s\nCASTAD_NATS_SYS_PASSWORD: %s\n%s", strconv.Quote(s.Password), strconv.Quote(s.SysPassword), raw)
	opts := &server.Options{}
	if err := opts.ProcessConfigString(text); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.Config, err)
	}
	return opts, nil
}

// URL returns the address for clients, without credentials.
func (n *NATS) URL() string { return n.server.ClientURL() }

// MonitorURL returns the address of the monitoring pages, or "".
func (n *NATS) MonitorURL() string {
	if addr := n.server.MonitorAddr(); addr != nil {
		return "http://" + addr.String()
	}
	return ""
}

// Stop ends the server and waits until its store is closed.
func (n *NATS) Stop() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}
