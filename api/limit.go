package main

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"

	"castad/internal/limit"
)

// budget is one of the limits. Each request is counted in at most one of them, and none eats up another: who polls too
// much can still submit, and an event stream that was cut can always be opened again.
type budget string

const (
	noBudget     budget = ""        // isn't counted: callbacks of providers, /healthz and /readyz
	submitBudget budget = "submits" // new tasks, per user
	changeBudget budget = "changes" // all else that changes something, per user
	readBudget   budget = "reads"   // per user
	streamBudget budget = "streams" // event streams opened, per user
	openBudget   budget = "open"    // requests without a valid token, per address
	loginBudget  budget = "logins"  // per address
)

// counted says to people what each budget counts.
var counted = map[budget]string{submitBudget: "new tasks", changeBudget: "changes", readBudget: "reads", streamBudget: "event streams",
	openBudget: "requests without a valid token", loginBudget: "logins"}

// limits say how often whom is answered. The zero value limits nothing.
type limits struct {
	Counter *limit.Limiter // nil: nothing is limited
	Rates   map[budget]limit.Rate
	Proxies []netip.Prefix // whose X-Forwarded-For is believed
}

// budgetOf returns where the calls of an operation are counted, when they come with a valid token where one is needed.
func budgetOf(op *huma.Operation) budget {
	switch {
	case strings.HasPrefix(op.Path, "/hooks/"):
		return noBudget
	case len(op.Security) == 0 && strings.HasPrefix(op.Path, "/auth/") && !strings.HasSuffix(op.Path, "/refresh"):
		return loginBudget
	case len(op.Security) == 0:
		return openBudget
	case op.OperationID == "submit-task":
		return submitBudget
	case op.OperationID == "watch-task":
		return streamBudget
	case op.Method == http.MethodGet || op.Method == http.MethodHead:
		return readBudget
	}
	return changeBudget
}

// ration answers 429 to those who have used up the budget of an operation, before anything is done for them. A token's
// signature is enough to know whose call it is: the database is asked only for what passes. Calls with a token that
// isn't valid count for their address, as those without one do.
func (s *server) ration(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		b := budgetOf(ctx.Operation())
		if s.Limits.Counter == nil || b == noBudget {
			next(ctx)
			return
		}
		c := humafiber.UnwrapV2(ctx)
		of := s.clientOf(c)
		if len(ctx.Operation().Security) > 0 {
			claims, err := s.check(bearer(ctx.Header("Authorization")))
			if err == nil {
				of, noteOf(ctx.Context()).userUUID = claims.Subject, claims.Subject
				ctx = huma.WithValue(ctx, claimsKey{}, claims)
			} else {
				b = openBudget
			}
		}
		if refusal := s.spend(c, b, of); refusal != nil {
			noteOf(ctx.Context()).failed(refusal, refusal)
			_ = huma.WriteErr(api, ctx, refusal.Status, refusal.Detail, refusal)
			return
		}
		next(ctx)
	}
}

// rationOpen is ration for what huma doesn't answer: pages, documents, and unknown addresses.
func (s *server) rationOpen(c *fiber.Ctx) error {
	if refusal := s.spend(c, openBudget, s.clientOf(c)); refusal != nil {
		return refusal
	}
	return c.Next()
}

// spend counts a call, tells in the headers what is left, and returns the refusal when nothing is. The headers are those
// of draft-ietf-httpapi-ratelimit-headers-06: RateLimit-Limit is what may come at once, RateLimit-Reset the seconds
// until that much may come again; in a refusal it is when the next call passes, as Retry-After is.
func (s *server) spend(c *fiber.Ctx, b budget, of string) *Problem {
	rate := s.Limits.Rates[b]
	if s.Limits.Counter == nil || rate.Count == 0 {
		return nil
	}
	verdict, err := s.Limits.Counter.Take(c.UserContext(), limit.Call{Limit: string(b), Of: of, Rate: rate, Insist: b == loginBudget})
	if err != nil {
		return uncounted(c, b)
	}
	c.Set("RateLimit-Limit", strconv.Itoa(verdict.Limit))
	c.Set("RateLimit-Remaining", strconv.Itoa(verdict.Remaining))
	if verdict.Allowed {
		c.Set("RateLimit-Reset", seconds(verdict.Reset))
		return nil
	}
	after := seconds(verdict.RetryAfter)
	c.Set("RateLimit-Reset", after)
	c.Set("Retry-After", after)
	return problem(http.StatusTooManyRequests, "RATE_LIMITED", fmt.Sprintf("Too many %s: come back in %s s. At most %d may come at once, and %d in %v.",
		counted[b], after, rate.Burst, rate.Count, rate.Per))
}

// uncounted decides about a call that Redis can't count: it passes, since being fair matters less than being there. A
// login doesn't: while nobody counts, passwords and codes could be tried without end.
func uncounted(c *fiber.Ctx, b budget) *Problem {
	if b != loginBudget {
		return nil
	}
	c.Set("Retry-After", retryWhenAway)
	return problem(http.StatusServiceUnavailable, "login_unavailable",
		"Nobody can log in for a moment, because logins can't be counted. Try again in some seconds; who is logged in stays so.")
}

// seconds returns a time in whole seconds, rounded up: who comes back then isn't too early.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// documented adds to an operation that it may be refused.
func documented(op huma.Operation) huma.Operation {
	if b := budgetOf(&op); b != noBudget {
		op.Errors = append(slices.Clone(op.Errors), http.StatusTooManyRequests)
		if b == loginBudget {
			op.Errors = append(op.Errors, http.StatusServiceUnavailable)
		}
	}
	op.Responses = maps.Clone(op.Responses)
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{} // one that its caller sees being filled
	}
	return op
}

// documentHeaders describes the headers of the refusal of a registered operation.
func documentHeaders(op huma.Operation) {
	refusal, ok := op.Responses[strconv.Itoa(http.StatusTooManyRequests)]
	if !ok {
		return
	}
	refusal.Headers = map[string]*huma.Param{}
	for name, description := range map[string]string{
		"Retry-After":         "seconds until the next call passes",
		"RateLimit-Limit":     "calls that may come at once",
		"RateLimit-Remaining": "calls that may still come at once",
		"RateLimit-Reset":     "seconds until they may come again",
	} {
		refusal.Headers[name] = &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeInteger}}
	}
}
