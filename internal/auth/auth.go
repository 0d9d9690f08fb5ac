// Package auth issues and checks the signed access tokens that people carry.
//
// It holds no sessions and asks no database: who a token's subject is, and whether that person may still come in, is
// asked by the caller. The algorithm is fixed to HMAC-SHA256 and never taken from a token. Start with ParseKeys, Issue
// and Verify.
package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

// What is wrong with a token. ErrExpired and ErrType are of tokens that we have signed; ErrInvalid is of all others.
var (
	ErrInvalid = errors.New("the token isn't one of ours")
	ErrExpired = errors.New("the token has expired")
	ErrType    = errors.New("the token is of another type")
)

// Access is the type claim of access tokens.
const Access = "access"

// AccessLife is how long an access token serves.
const AccessLife = 60 * time.Minute

const maxTokenBytes = 4 << 10

// Claims are what a checked token says. Instants are UTC, in whole seconds.
type Claims struct {
	Subject   string // user_uuid
	Type      string
	ID        string // jti
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Issue signs an access token for a user with the first key, and returns it with the time at which it expires.
func (k Keys) Issue(userUUID string, now time.Time) (token string, expiresAt time.Time, err error) {
	if len(k.keys) == 0 {
		return "", time.Time{}, errors.New("issue token: there are no keys")
	}
	issuedAt := now.UTC().Truncate(time.Second)
	expiresAt = issuedAt.Add(AccessLife)
	claims, err := jwt.NewBuilder().Subject(userUUID).Claim("type", Access).IssuedAt(issuedAt).Expiration(expiresAt).
		JwtID(uuid.NewString()).Build()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("build token: %w", err)
	}
	headers := jws.NewHeaders()
	if err := headers.Set(jws.KeyIDKey, k.keys[0].ID); err != nil {
		return "", time.Time{}, fmt.Errorf("name the token's key: %w", err)
	}
	signed, err := jwt.Sign(claims, jwt.WithKey(jwa.HS256, k.keys[0].Secret, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign token: %w", err)
	}
	return string(signed), expiresAt, nil
}

// Verify checks an access token's signature, type and time. Errors: ErrInvalid, ErrType, ErrExpired, wrapped with what
// was found; the claims come back with the last two as well, for the log.
func (k Keys) Verify(token string, now time.Time) (Claims, error) {
	secret, err := k.secretOf(token)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	parsed, err := jwt.ParseString(token, jwt.WithKey(jwa.HS256, secret), jwt.WithValidate(false))
	if err != nil {
		return Claims{}, fmt.Errorf("%w: the signature or the claims can't be read", ErrInvalid)
	}
	return check(parsed, now)
}

// secretOf finds the key that the token names. The header is read before the signature is checked, so nothing else in
// it is believed: another algorithm is refused here, and no key or address in it is ever used.
func (k Keys) secretOf(token string) ([]byte, error) {
	if len(token) > maxTokenBytes {
		return nil, fmt.Errorf("it has more than %d bytes", maxTokenBytes)
	}
	message, err := jws.ParseString(token)
	if err != nil || len(message.Signatures()) != 1 {
		return nil, errors.New("it isn't a signed token in compact form")
	}
	header := message.Signatures()[0].ProtectedHeaders()
	if header.Algorithm() != jwa.HS256 {
		return nil, errors.New("its algorithm isn't HS256")
	}
	for _, key := range k.keys {
		if key.ID == header.KeyID() {
			return key.Secret, nil
		}
	}
	return nil, errors.New("its key is unknown")
}

func check(t jwt.Token, now time.Time) (Claims, error) {
	kind, _ := t.Get("type")
	claims := Claims{Subject: t.Subject(), ID: t.JwtID(), IssuedAt: t.IssuedAt().UTC(), ExpiresAt: t.Expiration().UTC()}
	claims.Type, _ = kind.(string)
	clock := jwt.ClockFunc(func() time.Time { return now })
	err := jwt.Validate(t, jwt.WithClock(clock), jwt.WithAcceptableSkew(5*time.Second), jwt.WithRequiredClaim(jwt.SubjectKey),
		jwt.WithRequiredClaim(jwt.ExpirationKey), jwt.WithRequiredClaim(jwt.IssuedAtKey), jwt.WithRequiredClaim(jwt.JwtIDKey))
	switch {
	case claims.Type != Access:
		return claims, fmt.Errorf("%w: it is %q", ErrType, claims.Type)
	case errors.Is(err, jwt.ErrTokenExpired()):
		return claims, fmt.Errorf("%w at %s", ErrExpired, claims.ExpiresAt.Format(time.RFC3339))
	case err != nil:
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return claims, nil
}

// Tail is what a log may show of a token: its last 20 characters. Of one that is hardly longer nothing is shown,
// because the tail would be the whole.
func Tail(token string) string {
	if len(token) < 40 {
		return "..."
	}
	return "..." + token[len(token)-20:]
}
