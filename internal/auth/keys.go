package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const minSecretBytes = 32 // RFC 7518, section 3.2: at least the size of the hash

// Key is one HMAC-SHA256 key with the id by which tokens name it.
type Key struct {
	ID     string
	Secret []byte // at least 32 bytes
}

// Keys are the keys in use: the first signs, all of them verify. To change keys, put the new one in front and take the
// old one away when the last token that it signed has expired.
type Keys struct{ keys []Key }

var keyID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

// NewKeys checks keys and puts them together.
func NewKeys(keys ...Key) (Keys, error) {
	if len(keys) == 0 {
		return Keys{}, errors.New("there is no token key: give at least one")
	}
	seen := map[string]bool{}
	for _, key := range keys {
		switch {
		case !keyID.MatchString(key.ID):
			return Keys{}, errors.New("a token key's id has 1 to 32 letters, digits, dots, dashes and underscores")
		case seen[key.ID]:
			return Keys{}, fmt.Errorf("token key %s is given twice", key.ID)
		case len(key.Secret) < minSecretBytes:
			return Keys{}, fmt.Errorf("token key %s has %d bytes: it needs at least %d", key.ID, len(key.Secret), minSecretBytes)
		}
		seen[key.ID] = true
	}
	return Keys{keys: keys}, nil
}

// ParseKeys reads keys as a setting holds them: "id:secret", several by commas, the secrets in base64. Errors name the
// id of a key, never its secret.
func ParseKeys(setting string) (Keys, error) {
	var keys []Key
	for i, part := range strings.Split(setting, ",") {
		id, text, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok || !keyID.MatchString(id) {
			return Keys{}, fmt.Errorf("token key %d isn't of the form id:secret", i+1)
		}
		secret, err := decodeSecret(text)
		if err != nil {
			return Keys{}, fmt.Errorf("token key %s isn't in base64", id)
		}
		keys = append(keys, Key{ID: id, Secret: secret})
	}
	return NewKeys(keys...)
}

// decodeSecret takes both alphabets of base64, with padding or without.
func decodeSecret(text string) ([]byte, error) {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	return base64.RawURLEncoding.DecodeString(text)
}
