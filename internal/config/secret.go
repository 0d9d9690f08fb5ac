package config

import "fmt"

// Secret is a credential. It prints as [redacted] in every format, JSON included; Reveal gives the value to the one
// place that needs it.
type Secret string

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// Format prints [redacted] whatever the verb, or nothing for an empty secret.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// String returns [redacted], or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// MarshalText makes JSON and logs print what String prints.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the value from the environment.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}
