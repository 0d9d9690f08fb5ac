package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// note gathers what the one log line of a request tells beside its address.
type note struct {
	userUUID    string
	taskID      string
	code        string
	err         error
	traceparent string
}

type noteKey struct{}

// noteOf returns the request's note; outside of a request, one that nobody reads.
func noteOf(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

// failed keeps the code, and of errors that are ours also the cause.
func (n *note) failed(p *Problem, cause error) {
	n.code = p.Code
	if p.Status >= http.StatusInternalServerError {
		n.err = cause
	}
}

var (
	requestID   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	traceparent = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$`)
)

// observe gives the request its id, trace and logger, turns panics into answers, and writes its one log line.
func (s *server) observe(c *fiber.Ctx) error {
	start := time.Now()
	id := c.Get("X-Request-Id")
	if !requestID.MatchString(id) {
		id = uuid.Must(uuid.NewV7()).String()
	}
	c.Set("X-Request-Id", id)
	n := &note{traceparent: childTrace(c.Get("traceparent"))}
	log := s.Log.With().Str("request_id", id).Str("trace_id", n.traceparent[3:35]).Logger()
	c.SetUserContext(log.WithContext(context.WithValue(c.UserContext(), noteKey{}, n)))
	if err := guarded(c); err != nil {
		if err := s.writeError(c, err); err != nil {
			return err
		}
	}
	logRequest(c, &log, n, time.Since(start))
	return nil
}

// guarded runs the rest of the request; a panic becomes an error with its stack.
func guarded(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Next()
}

// logRequest names the route and not the path: callback addresses hold tokens.
func logRequest(c *fiber.Ctx, log *zerolog.Logger, n *note, took time.Duration) {
	status := c.Response().StatusCode()
	line := log.Info()
	switch {
	case status >= http.StatusInternalServerError:
		line = log.Error().Err(n.err)
	case c.Path() == "/healthz", c.Path() == "/readyz":
		line = log.Debug()
	}
	for field, value := range map[string]string{"user_uuid": n.userUUID, "task_id": n.taskID, "code": n.code} {
		if value != "" {
			line = line.Str(field, value)
		}
	}
	line.Str("method", c.Method()).Str("route", c.Route().Path).Int("status", status).
		Int64("took_ms", took.Milliseconds()).Msg("request answered")
}

// childTrace continues the caller's trace with a span of our own, or begins one. W3C Trace Context, version 00.
func childTrace(given string) string {
	var random [24]byte
	rand.Read(random[:])
	trace, flags := hex.EncodeToString(random[:16]), "01"
	if m := traceparent.FindStringSubmatch(given); m != nil && strings.Trim(m[1], "0") != "" && strings.Trim(m[2], "0") != "" {
		trace, flags = m[1], m[3]
	}
	return "00-" + trace + "-" + hex.EncodeToString(random[16:]) + "-" + flags
}

const exposed = "Location, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, ETag, Idempotent-Replayed, X-Request-Id"

// secure sets the headers that browsers go by, and answers their questions about other origins.
func (s *server) secure(c *fiber.Ctx) error {
	c.Set("X-Content-Type-Options", "nosniff")
	c.Set("X-Frame-Options", "DENY")
	c.Set("Referrer-Policy", "no-referrer")
	c.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	c.Set("Cache-Control", "private, no-cache")
	c.Vary("Origin")
	origin := c.Get("Origin")
	if origin == "" || !s.mayCall(origin) {
		return c.Next()
	}
	c.Set("Access-Control-Allow-Origin", origin)
	c.Set("Access-Control-Expose-Headers", exposed)
	if c.Method() != http.MethodOptions || c.Get("Access-Control-Request-Method") == "" {
		return c.Next()
	}
	c.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
	c.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, traceparent, X-Request-Id")
	c.Set("Access-Control-Max-Age", "600")
	return c.SendStatus(http.StatusNoContent)
}

// mayCall reports whether pages of the origin may call. In development, those of this machine may.
func (s *server) mayCall(origin string) bool {
	if slices.Contains(s.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return s.Dev && err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1")
}

const mostDrained = 32 << 20

// limitBody bounds what a request may send. Every body is read to its end before the next request, or the connection is
// closed: what is left unread would be taken for that next request, and a client that is still sending wouldn't see an
// early answer.
func (s *server) limitBody(c *fiber.Ctx) error {
	body := c.Context().RequestBodyStream()
	if body == nil {
		return c.Next()
	}
	if c.Path() == imagesPath && c.Method() == http.MethodPost {
		return limitUpload(c, body)
	}
	data, err := io.ReadAll(io.LimitReader(body, maxJSONBytes+1))
	switch {
	case err != nil:
		c.Context().SetConnectionClose()
		return problem(http.StatusRequestTimeout, "request_timeout", "The body was cut off, or came too slowly.")
	case len(data) > maxJSONBytes:
		return tooMuch(c, body)
	}
	c.Request().SetBodyStream(bytes.NewReader(data), len(data))
	return c.Next()
}

// limitUpload lets images through as they arrive, by the length that they announce.
func limitUpload(c *fiber.Ctx, body io.Reader) error {
	length := c.Request().Header.ContentLength()
	switch {
	case length < 0:
		c.Context().SetConnectionClose()
		return problem(http.StatusLengthRequired, "length_required", problemCodes["length_required"])
	case length > maxUploadBytes:
		return tooMuch(c, body)
	}
	err := c.Next()
	drain(c, body)
	return err
}

func tooMuch(c *fiber.Ctx, body io.Reader) error {
	drain(c, body)
	c.Context().SetConnectionClose()
	return problem(http.StatusRequestEntityTooLarge, "body_too_large", tooLarge)
}

// drain throws away what is left of a body, and closes the connection after the answer where that is much.
func drain(c *fiber.Ctx, body io.Reader) {
	if n, err := io.Copy(io.Discard, io.LimitReader(body, mostDrained)); err != nil || n == mostDrained {
		c.Context().SetConnectionClose()
	}
}
