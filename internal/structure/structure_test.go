// Package structure keeps the table of docs/design.md true: which package may import which.
package structure

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"castad/internal/testkit"
)

// layers say what each package may import of ours. A pattern ending in /* stands for all packages below. Programs
// (package main) may import anything but programs; what is for tests alone isn't listed and must not be imported.
var layers = map[string][]string{
	"events":              {},
	"internal/fault":      {},
	"internal/crash":      {},
	"internal/config":     {"events", "providers"},
	"internal/observe":    {},
	"internal/auth":       {},
	"internal/limit":      {},
	"providers":           {},
	"providers/sandbox":   {"providers/sandbox/*"},
	"providers/sandbox/*": {},
	"internal/pipeline":   {"events", "internal/fault"},
	"internal/broker":     {"events"},
	"providers/wire":      {},
	"providers/*":         {"providers", "providers/wire", "internal/fault"},
	"scraper":             {"providers", "internal/fault"},
	"prompts":             {"providers", "internal/fault"},
	"media":               {"providers", "internal/fault"},
	"internal/group":      {},
	"store":               {"events", "internal/crash", "internal/group", "internal/pipeline", "internal/fault", "providers"},
	"internal/relay":      {"events", "store", "internal/broker", "internal/crash"},
	"internal/dead":       {"events", "store", "internal/broker"},
	"internal/worker":     {"events", "store", "internal/*"},
	"internal/author":     {"store", "prompts", "providers", "providers/openai", "internal/config", "internal/fault", "internal/worker"},
	"internal/servers":    {},
	"internal/schema":     {},
	"internal/testkit":    {"internal/servers"},
	"internal/testkit/*":  {"providers/sandbox"},
	"internal/usage":      {},
	"internal/e2e":        {"internal/servers", "internal/testkit", "internal/usage"},
	"internal/guards":     {"internal/testkit"},
	"internal/structure":  {},
}

type listed struct {
	ImportPath string
	Name       string
	Imports    []string
}

func TestImports(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Imports", "./...")
	list.Dir = testkit.Root()
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var pkg listed
		if err := decoder.Decode(&pkg); err != nil {
			t.Fatal(err)
		}
		check(t, pkg)
	}
}

func check(t *testing.T, pkg listed) {
	name := strings.TrimPrefix(pkg.ImportPath, "castad/")
	allowed, known := layers[name]
	if !known {
		allowed, known = layers[name[:strings.LastIndex(name, "/")+1]+"*"]
	}
	if !known && pkg.Name != "main" {
		t.Errorf("package %s isn't in the table of layers: say what it may import", name)
	}
	for _, imported := range pkg.Imports {
		ours, ok := strings.CutPrefix(imported, "castad/")
		if ok && pkg.Name != "main" && !matches(allowed, ours) {
			t.Errorf("%s imports %s, which its layer doesn't allow", name, ours)
		}
	}
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		below, all := strings.CutSuffix(pattern, "*")
		return pattern == name || all && strings.HasPrefix(name, below)
	})
}
