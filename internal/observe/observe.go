// Package observe is what the programs show of themselves: logs, health and metrics.
package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// Logger returns a program's logger: JSON lines on w. Level is debug, info, warn or error.
func Logger(w io.Writer, program, level string) (zerolog.Logger, error) {
	lvl, err := zerolog.ParseLevel(level)
	if err != nil {
		return zerolog.Nop(), fmt.Errorf("log level %q: use debug, info, warn or error", level)
	}
	return zerolog.New(w).Level(lvl).With().Timestamp().Str("program", program).Logger(), nil
}

// Version returns the version that the binary was built from, as the Go tool recorded it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}

// Check is one live thing that a program needs. Its error is a sentence for an operator.
type Check struct {
	Name string
	Ask  func(ctx context.Context) error
}

// Health answers /healthz (the process lives), /readyz (its own connections and subscriptions live, each named) and
// /metrics.
func Health(checks []Check) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, `{"status":"alive"}`) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ready, report := Ask(r.Context(), checks)
		w.Header().Set("Content-Type", "application/json")
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(report)
	})
	mux.Handle("GET /metrics", promhttp.Handler())
	return mux
}

// Ask runs all checks within two seconds and returns, by name, "ok" or what is wrong.
func Ask(ctx context.Context, checks []Check) (ready bool, report map[string]string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ready, report = true, map[string]string{}
	for _, check := range checks {
		report[check.Name] = "ok"
		if err := check.Ask(ctx); err != nil {
			ready, report[check.Name] = false, err.Error()
		}
	}
	return ready, report
}

// ServeHealth serves Health on addr until ctx ends; with addr "" it does nothing.
func ServeHealth(ctx context.Context, addr string, checks []Check) error {
	if addr == "" {
		return nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for health checks: %w", err)
	}
	server := &http.Server{Handler: Health(checks), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			zerolog.Ctx(ctx).Error().Err(err).Msg("health server ended")
		}
	}()
	return nil
}
