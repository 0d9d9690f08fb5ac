package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"castad/internal/auth"
	"castad/store"
)

type userKey struct{}

// caller is who makes a request, and until when the token of the request serves.
type caller struct {
	store.User
	expiresAt time.Time
}

// callerOf returns who makes the request; endpoints without a token have none.
func callerOf(ctx context.Context) caller {
	who, _ := ctx.Value(userKey{}).(caller)
	return who
}

// authenticate lets requests pass to endpoints that need a token only with one of a living user.
func (s *server) authenticate(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if len(ctx.Operation().Security) == 0 {
			next(ctx)
			return
		}
		who, err := s.caller(ctx.Context(), ctx.Header("Authorization"))
		if err == nil && ctx.Operation().Metadata["role"] == "admin" && who.Role != "admin" {
			err = problem(http.StatusForbidden, "ADMIN_REQUIRED", "Only administrators may do this.")
		}
		if err != nil {
			p := problemOf(err)
			noteOf(ctx.Context()).failed(p, err)
			if p.Status == http.StatusUnauthorized {
				ctx.SetHeader("WWW-Authenticate", "Bearer")
			}
			if p.Status == http.StatusServiceUnavailable {
				ctx.SetHeader("Retry-After", retryWhenAway)
			}
			_ = huma.WriteErr(api, ctx, p.Status, p.Detail, p)
			return
		}
		noteOf(ctx.Context()).userUUID = who.UUID
		next(huma.WithValue(ctx, userKey{}, who))
	}
}

// caller checks the Authorization header and loads the user.
func (s *server) caller(ctx context.Context, header string) (caller, error) {
	token := bearer(header)
	if token == "" {
		return caller{}, problem(http.StatusUnauthorized, "MISSING_TOKEN", "Send an access token: Authorization: Bearer <token>.")
	}
	claims, err := s.verify(ctx, token)
	if err != nil {
		return caller{}, tokenProblem(ctx, token, claims, err)
	}
	log := zerolog.Ctx(ctx)
	user, err := s.user(ctx, claims.Subject)
	switch {
	case errors.Is(err, store.ErrNotFound):
		log.Warn().Str("user_uuid", claims.Subject).Str("token", auth.Tail(token)).Msg("token of an unknown user was refused")
		return caller{}, problem(http.StatusUnauthorized, "USER_NOT_FOUND", "The user of this token doesn't exist. Log in again.")
	case err != nil:
		return caller{}, err
	case !user.Active:
		log.Warn().Str("user_uuid", claims.Subject).Str("token", auth.Tail(token)).Msg("token of an inactive user was refused")
		return caller{}, inactive()
	}
	tokenLog(log.Debug(), token, claims).Msg("token was checked")
	return caller{User: user, expiresAt: claims.ExpiresAt}, nil
}

func inactive() *Problem {
	return problem(http.StatusForbidden, "USER_INACTIVE", "This user was deactivated. Ask the people who run the service.")
}

// bearer returns the token of an Authorization header, or "".
func bearer(header string) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

type claimsKey struct{}

// verify checks a token, unless ration has done so for this request.
func (s *server) verify(ctx context.Context, token string) (auth.Claims, error) {
	if claims, ok := ctx.Value(claimsKey{}).(auth.Claims); ok {
		return claims, nil
	}
	return s.check(token)
}

// tokenProblem logs at the level that the rules of token logging give each case, and answers.
func tokenProblem(ctx context.Context, token string, claims auth.Claims, err error) *Problem {
	log := zerolog.Ctx(ctx)
	switch {
	case errors.Is(err, auth.ErrExpired):
		tokenLog(log.Info(), token, claims).Msg("expired token was refused")
		return problem(http.StatusUnauthorized, "TOKEN_EXPIRED", "The access token has expired. Log in again.")
	case errors.Is(err, auth.ErrType):
		tokenLog(log.Warn(), token, claims).Msg("token of the wrong type was refused")
	default:
		log.Warn().Err(err).Str("token", auth.Tail(token)).Msg("undecodable token was refused")
	}
	return problem(http.StatusUnauthorized, "INVALID_TOKEN", "This isn't an access token of this service. Log in again.")
}

func tokenLog(line *zerolog.Event, token string, claims auth.Claims) *zerolog.Event {
	return line.Str("token", auth.Tail(token)).Str("sub", claims.Subject).Str("type", claims.Type).Time("exp", claims.ExpiresAt)
}

type userView struct {
	UserUUID string `json:"user_uuid"`
	Nickname string `json:"nickname"`
	Role     string `json:"role" enum:"user,admin"`
}

type loginInput struct {
	Body struct {
		Nickname string `json:"nickname" minLength:"1" maxLength:"50" example:"tester"`
		Role     string `json:"role,omitempty" enum:"user,admin" default:"user"`
	}
}

type loginOutput struct {
	Body struct {
		AccessToken string    `json:"access_token"`
		TokenType   string    `json:"token_type" example:"Bearer"`
		ExpiresIn   int       `json:"expires_in" doc:"seconds"`
		ExpiresAt   time.Time `json:"expires_at"`
		User        userView  `json:"user"`
	}
}

type meOutput struct{ Body userView }

func (s *server) addAuth(api huma.API) {
	if s.Dev {
		op := operation(http.MethodPost, "/auth/dev/login", "dev-login", "Get a token without Kakao (in development only)")
		op.Tags = []string{"Accounts"}
		add(s, api, op, s.devLogin)
	}
	op := owner(operation(http.MethodGet, "/auth/me", "me", "Who the token belongs to"))
	op.Tags = []string{"Accounts"}
	add(s, api, op, func(ctx context.Context, _ *struct{}) (*meOutput, error) {
		return &meOutput{Body: viewUser(callerOf(ctx).User)}, nil
	})
}

func viewUser(u store.User) userView {
	return userView{UserUUID: u.UUID, Nickname: u.Nickname, Role: u.Role}
}

// devUsers is the name space in which a nickname always gives the same user.
var devUsers = uuid.MustParse("6c2f60f6-2a5c-4d0e-9f0e-5d2f7a0b9c11")

func (s *server) devLogin(ctx context.Context, in *loginInput) (*loginOutput, error) {
	user := store.User{UUID: uuid.NewSHA1(devUsers, []byte(in.Body.Nickname)).String(), Nickname: in.Body.Nickname, Role: in.Body.Role}
	if err := s.DB.SaveUser(ctx, user); err != nil {
		return nil, err
	}
	user, err := s.DB.LoadUser(ctx, user.UUID)
	if err != nil {
		return nil, err
	}
	if !user.Active {
		return nil, inactive()
	}
	token, expiresAt, err := s.Keys.Issue(user.UUID, s.Now())
	if err != nil {
		return nil, err
	}
	zerolog.Ctx(ctx).Debug().Str("token", auth.Tail(token)).Str("user_uuid", user.UUID).Str("type", auth.Access).
		Time("exp", expiresAt).Msg("token was issued")
	var out loginOutput
	out.Body.AccessToken, out.Body.TokenType, out.Body.User = token, "Bearer", viewUser(user)
	out.Body.ExpiresAt, out.Body.ExpiresIn = expiresAt, int(auth.AccessLife.Seconds())
	return &out, nil
}
