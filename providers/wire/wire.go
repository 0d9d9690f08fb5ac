// Package wire makes calls to providers, each exactly once, and says of a failed one whether any of it can have
// reached the provider. That is what decides whether a paid call was surely not accepted, or nobody knows.
//
// It is below the providers' clients and knows no provider: what an answer means is theirs. It repeats nothing and
// follows nothing. Start with New and Caller.Call; SDKs take a Caller as their HTTP client, by its method Do.
package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"
)

// ErrNotSent is in the chain of the error of a call of which surely nothing has reached the provider: no connection
// came about, because the request was wrong, the name unknown, the connection refused, the TLS handshake broken off,
// or the time over before. After any other error the provider may have had the request, and may have accepted it.
var ErrNotSent = errors.New("request was not sent")

const (
	mostDial   = 10 * time.Second // for each of connection and handshake
	mostHeader = 64 << 10         // bytes of an answer's header
)

// Limits are those of one call.
type Limits struct {
	Time  time.Duration // from dialling to the last byte of the answer; 0 means 30 s
	Bytes int64         // of the answer's body, as unpacked; 0 means 8 MiB
}

// Caller is safe for concurrent use.
type Caller struct {
	limits    Limits
	transport *http.Transport
}

// New fills the defaults of limits. It makes no call.
//
// Each call has a connection of its own, for two reasons. On a kept one, a server that hangs up at the same moment
// can't be told from a lost answer. And net/http repeats requests by itself after losing a kept connection, when it
// takes them for harmless; on a fresh one never.
//
// HTTP/2 isn't spoken. With it, net/http repeats requests on fresh connections too: several times after GOAWAY,
// REFUSED_STREAM or a peer's PROTOCOL_ERROR, whatever the method, as long as there is no body; and calls at the same
// time can meet on one connection. One call for each connection gains nothing from it.
//
// There is no proxy, because a connection to one tells nothing about the provider.
func New(limits Limits) *Caller {
	if limits.Time <= 0 {
		limits.Time = 30 * time.Second
	}
	if limits.Bytes <= 0 {
		limits.Bytes = 8 << 20
	}
	onlyHTTP1 := new(http.Protocols)
	onlyHTTP1.SetHTTP1(true)
	return &Caller{limits: limits, transport: &http.Transport{
		DialContext:            (&net.Dialer{Timeout: min(limits.Time, mostDial)}).DialContext,
		TLSHandshakeTimeout:    min(limits.Time, mostDial),
		DisableKeepAlives:      true,
		Protocols:              onlyHTTP1,
		MaxResponseHeaderBytes: mostHeader,
	}}
}

// Do makes the request once and returns the answer's header; the caller closes the body, which fails past the limits,
// and doesn't repeat the credentials of the request.
//
// A redirect is an answer like others: followed, it would order again, at an address that nobody has checked. Errors
// don't repeat the URL, whose query may hold ids and secrets. So there is no http.Client around the transport: it
// follows, and puts the URL into each error.
//
// After an error that isn't ErrNotSent nobody knows whether the request was accepted.
func (c *Caller) Do(req *http.Request) (*http.Response, error) {
	ctx, sent := Watch(req.Context())
	ctx, cancel := context.WithTimeout(ctx, c.limits.Time)
	once := req.WithContext(ctx)
	once.GetBody = nil // the second lock: without it there is nothing to repeat a body from
	resp, err := c.transport.RoundTrip(once)
	if err != nil {
		cancel()
		if !sent() {
			return nil, notSent(err)
		}
		return nil, fmt.Errorf("no answer: %w", brief{err})
	}
	body := &limitedBody{ReadCloser: resp.Body, left: c.limits.Bytes, most: c.limits.Bytes, done: cancel}
	resp.Body = &discreet{ReadCloser: body, secrets: credentials(req)}
	return resp, nil
}

func notSent(err error) error { return fmt.Errorf("%w: %w", ErrNotSent, err) }

// brief leaves out what net/http quotes of an answer that isn't HTTP: it may be long, and repeat the request.
type brief struct{ error }

func (e brief) Error() string {
	text, _, _ := strings.Cut(e.error.Error(), `"`)
	return strings.TrimSpace(text)
}

func (e brief) Unwrap() error { return e.error }

// Watch returns a context for one call of Do, and what reports afterwards whether the request can have left. It is for
// calls through an SDK, which may return an error of its own in place of Do's (openai-go: the context's).
//
// A connection counts from the moment that the transport hands it over, connected and with TLS set up: only then is
// the first byte of the request written. The transport does that on the goroutine that called Do.
func Watch(ctx context.Context) (watched context.Context, sent func() bool) {
	got := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got = true }}
	return httptrace.WithClientTrace(ctx, trace), func() bool { return got }
}
