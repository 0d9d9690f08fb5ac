package auth_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"castad/internal/auth"
)

var (
	secretA = bytes.Repeat([]byte{'a'}, 32)
	secretB = bytes.Repeat([]byte{'b'}, 32)
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func keys(t *testing.T, list ...auth.Key) auth.Keys {
	t.Helper()
	k, err := auth.NewKeys(list...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVerify_ReturnsWhatWasIssued(t *testing.T) {
	t.Parallel()
	k := keys(t, auth.Key{ID: "new", Secret: secretA})
	token, expiresAt, err := k.Issue("user-1", noon)
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Verify(token, noon.Add(59*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if got.ID == "" {
		t.Error("the token has no jti")
	}
	got.ID = ""
	want := auth.Claims{Subject: "user-1", Type: "access", IssuedAt: noon, ExpiresAt: noon.Add(time.Hour)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(noon.Add(time.Hour), expiresAt); diff != "" {
		t.Error(diff)
	}
}

// signed makes a token with any header and claims, as somebody who has the key could.
func signed(t *testing.T, alg jwa.SignatureAlgorithm, secret []byte, kid, claims string) string {
	t.Helper()
	headers := jws.NewHeaders()
	if kid != "" {
		if err := headers.Set(jws.KeyIDKey, kid); err != nil {
			t.Fatal(err)
		}
	}
	token, err := jws.Sign([]byte(claims), jws.WithKey(alg, secret, jws.WithProtectedHeaders(headers)))
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func unsigned(header, claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(header)) + "." + enc([]byte(claims)) + "."
}

const good = `{"sub":"u","type":"access","iat":1772366400,"exp":1772370000,"jti":"j"}` // issued at noon

func TestVerify_Refuses(t *testing.T) {
	t.Parallel()
	k := keys(t, auth.Key{ID: "k", Secret: secretA})
	resigned := signed(t, jwa.HS256, secretA, "k", good)
	parts := strings.Split(resigned, ".")
	swapped := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(good, `"u"`, `"v"`, 1))) + "." + parts[2]
	rows := map[string]struct {
		token string
		want  error
	}{
		"good":              {resigned, nil},
		"empty":             {"", auth.ErrInvalid},
		"garbage":           {"not.a.token", auth.ErrInvalid},
		"alg none":          {unsigned(`{"alg":"none","kid":"k"}`, good), auth.ErrInvalid},
		"alg None, no kid":  {unsigned(`{"alg":"None"}`, good), auth.ErrInvalid},
		"HS512":             {signed(t, jwa.HS512, secretA, "k", good), auth.ErrInvalid},
		"RS256 header":      {unsigned(`{"alg":"RS256","kid":"k"}`, good) + "AAAA", auth.ErrInvalid},
		"other secret":      {signed(t, jwa.HS256, secretB, "k", good), auth.ErrInvalid},
		"unknown kid":       {signed(t, jwa.HS256, secretA, "z", good), auth.ErrInvalid},
		"no kid":            {signed(t, jwa.HS256, secretA, "", good), auth.ErrInvalid},
		"changed subject":   {swapped, auth.ErrInvalid},
		"refresh":           {signed(t, jwa.HS256, secretA, "k", strings.Replace(good, "access", "refresh", 1)), auth.ErrType},
		"no type":           {signed(t, jwa.HS256, secretA, "k", strings.Replace(good, `"type":"access",`, "", 1)), auth.ErrType},
		"no exp":            {signed(t, jwa.HS256, secretA, "k", strings.Replace(good, `"exp":1772370000,`, "", 1)), auth.ErrInvalid},
		"no sub":            {signed(t, jwa.HS256, secretA, "k", strings.Replace(good, `"sub":"u",`, "", 1)), auth.ErrInvalid},
		"no jti":            {signed(t, jwa.HS256, secretA, "k", strings.Replace(good, `,"jti":"j"`, "", 1)), auth.ErrInvalid},
		"from the future":   {signed(t, jwa.HS256, secretA, "k", strings.Replace(good, "1772366400", "1772369000", 1)), auth.ErrInvalid},
		"expired":           {signed(t, jwa.HS256, secretA, "k", strings.Replace(good, "1772370000", "1772366401", 1)), auth.ErrExpired},
		"claims aren't any": {signed(t, jwa.HS256, secretA, "k", `[1]`), auth.ErrInvalid},
		"too long":          {strings.Repeat("a", 5000), auth.ErrInvalid},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := k.Verify(row.token, noon.Add(time.Minute)); !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
}

func TestKeys_RotateWithoutLoggingAnyoneOut(t *testing.T) {
	t.Parallel()
	old := keys(t, auth.Key{ID: "old", Secret: secretA})
	both := keys(t, auth.Key{ID: "new", Secret: secretB}, auth.Key{ID: "old", Secret: secretA})
	before, _, err := old.Issue("u", noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := both.Verify(before, noon); err != nil {
		t.Errorf("a token of the old key: %v", err)
	}
	after, _, err := both.Issue("u", noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Verify(after, noon); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("got %v, want the new key to sign", err)
	}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	secret := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xff}, 16))
	if _, err := auth.ParseKeys("a:" + secret + ", b:" + strings.TrimRight(secret, "=")); err != nil {
		t.Errorf("good keys: %v", err)
	}
	for name, setting := range map[string]string{
		"empty": "", "no id": secret, "short": "a:c2hvcnQ", "not base64": "a:%%%hidden%%%", "twice": "a:" + secret + ",a:" + secret,
	} {
		_, err := auth.ParseKeys(setting)
		if err == nil {
			t.Errorf("%s: got no error", name)
		} else if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: the error shows a secret: %v", name, err)
		}
	}
}

func TestTail_NeverShowsAWholeToken(t *testing.T) {
	t.Parallel()
	rows := map[string]string{"": "...", "short": "...", strings.Repeat("a", 39): "...", strings.Repeat("a", 30) + strings.Repeat("b", 20): "..." + strings.Repeat("b", 20)}
	for token, want := range rows {
		if diff := cmp.Diff(want, auth.Tail(token)); diff != "" {
			t.Errorf("%q: %s", token, diff)
		}
	}
}
