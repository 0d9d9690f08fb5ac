package testkit

import (
	"os"
	"testing"
)

// Setting reads an environment variable of the test run; otherwise is what it means when it isn't set.
func Setting[T any](t testing.TB, name string, otherwise T, parse func(string) (T, error)) T {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	value, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}
