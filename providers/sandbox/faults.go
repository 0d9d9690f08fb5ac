package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault makes calls fail. What is one of these, which hold for every provider:
//
//	lost     the call is carried out (and billed), then the connection is cut
//	cut      the connection is cut before anything is done
//	delay    the answer waits DelayMS
//	status   Status with Body; nothing is done
//	garbage  200 with a body that no protocol has
//	slow     the call is carried out, and its answer comes a byte a second
//	echo     Status with the credentials of the request in the error's message; nothing is done
//
// or an outcome that a provider's handler knows: OpenAI refusal, incomplete, failed, quota; Suno
// sensitive, failed, credits, callback_never, callback_late, callback_double; Creatomate failed,
// credits, callback_never, callback_late, callback_double; YouTube rejected, failed, quota, locked (private,
// whatever was asked for), partial of send, none of channels; Instagram failed, format,
// unfetched, and quota of publish and limit.
//
// A submission that holds the words fault:{provider}:{what} (or a status: fault:suno:500) fails too;
// fault:{provider}:{what}:{n} only for the first n submissions with these words.
type Fault struct {
	Provider    string  `json:"provider"` // as in the path; "" for all
	Call        string  `json:"call"`     // "create", "read", …; "" for create
	What        string  `json:"what"`
	DelayMS     int     `json:"delay_ms,omitempty"`
	Status      int     `json:"status,omitempty"`
	RetryAfter  string  `json:"retry_after,omitempty"` // header of a status
	Body        string  `json:"body,omitempty"`        // "" for the provider's own form, where it has one
	Contains    string  `json:"contains,omitempty"`    // only requests with this text in body or path
	Count       int     `json:"count,omitempty"`       // how many calls; 0 for all
	Probability float64 `json:"probability,omitempty"` // 0 means 1
}

type faults struct {
	mu     sync.Mutex
	set    []Fault
	marked map[string]int // calls by marker with a count
}

var marker = regexp.MustCompile(`fault:([a-z]+):([a-z0-9_]+)(?::([0-9]{1,3}))?`)

// take returns what shall go wrong with a call, using up counts.
func (f *faults) take(provider, call, text string) []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hits []Fault
	for i := range f.set {
		if f.set[i].meets(provider, call, text) {
			hits = append(hits, f.set[i])
			f.set[i].Count = use(f.set[i].Count)
		}
	}
	f.set = slices.DeleteFunc(f.set, func(x Fault) bool { return x.Count < 0 })
	if call == "create" {
		hits = append(hits, f.fromText(provider, text)...)
	}
	return hits
}

// use lowers a count; the last use gives -1, and 0 stays endless.
func use(count int) int {
	if count == 1 {
		return -1
	}
	return max(count-1, 0)
}

func (x Fault) meets(provider, call, text string) bool {
	return (x.Provider == "" || x.Provider == provider) && cmp.Or(x.Call, "create") == call &&
		strings.Contains(text, x.Contains) && (x.Probability == 0 || rand.Float64() < x.Probability)
}

func (f *faults) fromText(provider, text string) []Fault {
	var hits []Fault
	seen := map[string]bool{}
	for _, m := range marker.FindAllStringSubmatch(text, 8) {
		if m[1] != provider || seen[m[0]] || f.usedUp(m[0], m[3]) {
			continue
		}
		seen[m[0]] = true
		x := Fault{Provider: provider, What: m[2]}
		if status, err := strconv.Atoi(m[2]); err == nil {
			x.What, x.Status = "status", status
		}
		hits = append(hits, x)
	}
	return hits
}

func (f *faults) usedUp(words, limit string) bool {
	n, err := strconv.Atoi(limit)
	if err != nil {
		return false
	}
	if f.marked == nil {
		f.marked = map[string]int{}
	}
	f.marked[words]++
	return f.marked[words] > n
}

type outcomeKey struct{}

// outcome reports whether a fault of this name was set on the request.
func outcome(r *http.Request, what string) bool {
	hits, _ := r.Context().Value(outcomeKey{}).([]Fault)
	return slices.ContainsFunc(hits, func(x Fault) bool { return x.What == what })
}

// maxBody is the most that is read of a request other than an upload.
const maxBody = 4 << 20

// faulty wraps a call of a provider so that it can go wrong.
func (s *Server) faulty(provider, call string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text := r.URL.String()
		if call == "create" && !strings.HasPrefix(r.Header.Get("Content-Type"), "video/") && provider != "azure" {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			if err != nil {
				http.Error(w, "request body too large", http.StatusRequestEntityTooLarge)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			text += string(body)
		}
		hits := s.faults.take(provider, call, text)
		if len(hits) == 0 {
			next(w, r)
			return
		}
		s.fail(w, r.WithContext(context.WithValue(r.Context(), outcomeKey{}, hits)), hits, next)
	}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, hits []Fault, next http.HandlerFunc) {
	for _, x := range hits {
		switch x.What {
		case "delay":
			pause(r.Context(), time.Duration(x.DelayMS)*time.Millisecond)
		case "cut":
			panic(http.ErrAbortHandler)
		case "lost":
			next(&deaf{header: http.Header{}}, r)
			panic(http.ErrAbortHandler)
		case "slow":
			next(&drip{ResponseWriter: w, ctx: r.Context()}, r)
			return
		case "garbage":
			_, _ = io.WriteString(w, "<html>\x00{\"half\": ")
			return
		case "echo":
			writeJSON(w, cmp.Or(x.Status, 500), echo(r))
			return
		case "status":
			if x.RetryAfter != "" {
				w.Header().Set("Retry-After", x.RetryAfter)
			}
			body := cmp.Or(x.Body, ownBody(x.Provider, cmp.Or(x.Status, 500)))
			if strings.HasPrefix(body, "{") {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
			}
			w.WriteHeader(cmp.Or(x.Status, 500))
			_, _ = io.WriteString(w, body)
			return
		}
	}
	next(w, r)
}

// echo is an error in the form of every provider at once that quotes what the request was allowed by.
func echo(r *http.Request) object {
	held := []string{r.Header.Get("Authorization")}
	for _, name := range []string{"access_token", "refresh_token", "client_secret"} {
		held = append(held, r.FormValue(name))
	}
	said := "Refused: " + strings.Join(held, " ")
	return object{"error": object{"message": said, "type": said, "code": said, "errors": []object{{"reason": said, "message": said}}},
		"message": said, "msg": said, "hint": said, "error_description": said, "errorMessage": said}
}

// ownBody is an error in a provider's form; a gateway's page where none is known.
func ownBody(provider string, status int) string {
	switch provider {
	case "openai":
		code := map[int]string{429: "rate_limit_exceeded", 503: "server_is_overloaded"}[status]
		return `{"error":{"message":"Simulated.","type":"requests","param":null,"code":"` + cmp.Or(code, "server_error") + `"}}`
	case "creatomate":
		return `{"hint":"Simulated.","documentation":"https://creatomate.com/docs"}`
	case "youtube", "google":
		return `{"error":{"code":` + strconv.Itoa(status) + `,"message":"Simulated.","errors":[{"domain":"global","reason":"backendError","message":"Simulated."}]}}`
	case "instagram":
		return `{"error":{"message":"Simulated.","type":"OAuthException","code":2,"is_transient":true,"fbtrace_id":"A0"}}`
	}
	return "<html><body>" + http.StatusText(status) + "</body></html>"
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// deaf swallows the answer of a call whose connection is about to be cut.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(b []byte) (int, error) { return len(b), nil }
func (d *deaf) WriteHeader(int)             {}

func (s *Server) addFault(w http.ResponseWriter, r *http.Request) {
	var x Fault
	if err := readJSON(r, &x); err != nil || x.What == "" || x.Count < 0 {
		http.Error(w, "want a JSON object with provider, call, what", http.StatusBadRequest)
		return
	}
	s.faults.mu.Lock()
	s.faults.set = append(s.faults.set, x)
	s.faults.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) clearFaults(w http.ResponseWriter, _ *http.Request) {
	s.faults.mu.Lock()
	s.faults.set, s.faults.marked = nil, nil
	s.faults.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) listFaults(w http.ResponseWriter, _ *http.Request) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	writeJSON(w, http.StatusOK, append([]Fault{}, s.faults.set...))
}

// dripEvery is the time from one byte of a slow answer to the next.
const dripEvery = time.Second

// drip sends an answer byte by byte, for as long as somebody reads.
type drip struct {
	http.ResponseWriter
	ctx context.Context //nolint:containedctx // it is one request's
}

func (d *drip) Write(b []byte) (int, error) {
	to := http.NewResponseController(d.ResponseWriter)
	for n := range b {
		if _, err := d.ResponseWriter.Write(b[n : n+1]); err != nil {
			return n, err
		}
		if err := to.Flush(); err != nil {
			return n, err
		}
		if pause(d.ctx, dripEvery); d.ctx.Err() != nil {
			return n + 1, d.ctx.Err()
		}
	}
	return len(b), nil
}
