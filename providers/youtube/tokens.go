package youtube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"golang.org/x/oauth2"

	"castad/internal/fault"
	"castad/providers/wire"
)

// tokens keeps an access token until it ends or was refused.
type tokens struct {
	http    *http.Client
	conf    oauth2.Config
	refresh string

	mu   sync.Mutex
	held *oauth2.Token
}

func newTokens(cfg Config, calls *wire.Caller) *tokens {
	return &tokens{
		http: &http.Client{
			Transport:     throughWire{calls},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		conf: oauth2.Config{ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret,
			Endpoint: oauth2.Endpoint{TokenURL: cfg.TokenURL, AuthStyle: oauth2.AuthStyleInParams}},
		refresh: cfg.RefreshToken,
	}
}

// throughWire is what oauth2, which insists on an http.Client, makes its calls with.
type throughWire struct{ *wire.Caller }

func (w throughWire) RoundTrip(req *http.Request) (*http.Response, error) { return w.Do(req) }

func (t *tokens) access(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held.Valid() {
		return t.held.AccessToken, nil
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, t.http)
	token, err := t.conf.TokenSource(ctx, &oauth2.Token{RefreshToken: t.refresh}).Token()
	if err != nil {
		return "", tokenFault(err)
	}
	t.held = token
	return token.AccessToken, nil
}

func (t *tokens) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = nil
}

// tokenFault leaves out oauth2's own text, which repeats the whole answer.
func tokenFault(err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return fmt.Errorf("refresh access token: %w", err)
	}
	short := fmt.Errorf("refresh access token: HTTP status %d, %q", refused.Response.StatusCode, refused.ErrorCode)
	switch refused.ErrorCode {
	case "invalid_grant":
		return fault.Stop("youtube_reconnect_needed", short)
	case "invalid_client", "unauthorized_client":
		return fault.Stop("youtube_client_refused", short)
	}
	return short
}
