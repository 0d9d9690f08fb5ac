package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// devFile is what `dev` leaves for other commands: one NAME='value' a line.
var devFile = filepath.Join(".castad", "dev.env")

// withDev adds the addresses of a running dev to the environment, which wins.
func withDev(getenv func(string) string) func(string) string {
	values := map[string]string{}
	file, err := os.Open(devFile)
	if err == nil {
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			name, value, ok := strings.Cut(lines.Text(), "=")
			if ok {
				values[strings.TrimPrefix(name, "export ")] = strings.Trim(value, "'")
			}
		}
	}
	return func(name string) string {
		if value := getenv(name); value != "" {
			return value
		}
		return values[name]
	}
}
