package wire_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"castad/providers/wire"
)

// refuse answers each request of an HTTP/2 connection with REFUSED_STREAM, after which net/http sends it again.
func refuse(conn io.ReadWriter, reached *atomic.Int64) {
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	_ = framer.WriteSettings()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			reached.Add(1)
			_ = framer.WriteRSTStream(frame.StreamID, http2.ErrCodeRefusedStream)
		}
	}
}

// The server offers HTTP/2 first. It gets one request for each call all the same.
func TestCall_GivesHTTP2NoRequestToRepeat(t *testing.T) {
	t.Parallel()
	for kind, r := range requests {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var reached atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				reached.Add(1)
				hangUp(w, r)
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
			server.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
				"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) { refuse(conn, &reached) },
			}
			server.StartTLS()
			t.Cleanup(server.Close)
			roots := x509.NewCertPool()
			roots.AddCert(server.Certificate())
			c := wire.New(wire.Limits{Time: patience}).Trust(roots)
			got := failed(t, c, &service{}, request(t, t.Context(), r.method, server.URL+query, r.body))
			if got.NotSent || reached.Load() != 1 {
				t.Errorf("not sent: %v, %d requests", got.NotSent, reached.Load())
			}
		})
	}
}
