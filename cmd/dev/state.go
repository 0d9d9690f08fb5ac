package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// state is dev's folder: everything that is to be there again at the next start.
type state string

func (s state) path(elements ...string) string {
	return filepath.Join(append([]string{string(s)}, elements...)...)
}

// log returns where a program's output goes.
func (s state) log(name string) string { return s.path("logs", name+".log") }

// make makes the folder; others on this machine can't look into it.
func (s state) make() error {
	if err := os.MkdirAll(s.path("logs"), 0o755); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	return nil
}

// write replaces a file whole or not at all.
func (s state) write(name string, content []byte) error {
	fresh := s.path(name + ".new") // nobody else writes here: dev has claimed the folder
	err := os.WriteFile(fresh, content, 0o600)
	if err == nil {
		err = os.Rename(fresh, s.path(name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", s.path(name), err)
	}
	return nil
}

// read fills a value from a JSON file, and leaves it as it is when there is no such file.
func (s state) read(name string, value any) error {
	raw, err := os.ReadFile(s.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(raw, value)
	}
	if err != nil {
		return fmt.Errorf("read %s (remove it to begin anew): %w", s.path(name), err)
	}
	return nil
}

// secrets are made once a state folder.
type secrets struct {
	JWT     string `json:"jwt_keys"`
	NATS    string `json:"nats_password"`
	NATSSys string `json:"nats_sys_password"`
}

const secretsFile = "secrets.json"

func (s state) secrets() (secrets, error) {
	var known secrets
	err := s.read(secretsFile, &known)
	return known, err
}

// makeSecrets returns the folder's secrets, making those that are missing.
func (s state) makeSecrets() (secrets, error) {
	known, err := s.secrets()
	if err != nil {
		return known, err
	}
	if known.JWT != "" && known.NATS != "" && known.NATSSys != "" {
		return known, nil
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	known = secrets{JWT: "dev:" + base64.StdEncoding.EncodeToString(key), NATS: rand.Text(), NATSSys: rand.Text()}
	raw, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return known, err
	}
	return known, s.write(secretsFile, raw)
}

// largestLog is how far a log may grow before a start puts it aside.
const largestLog = 50 << 20

// rotate puts large logs aside as NAME.log.1, replacing what was there.
func (s state) rotate() error {
	logs, err := filepath.Glob(s.log("*"))
	if err != nil {
		return err
	}
	for _, path := range logs {
		info, err := os.Stat(path)
		if err != nil || info.Size() <= largestLog {
			continue
		}
		if err := os.Rename(path, path+".1"); err != nil {
			return fmt.Errorf("put a large log aside: %w", err)
		}
	}
	return nil
}

const envFile = "dev.env"

// writeEnv leaves the settings to other commands: a shell can read the file, and castad does.
func (s state) writeEnv(values map[string]string) error {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&text, "export %s='%s'\n", name, strings.ReplaceAll(values[name], "'", `'\''`))
	}
	return s.write(envFile, []byte(text.String()))
}
