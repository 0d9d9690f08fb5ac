package azblob_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"castad/internal/config"
)

// lifecycle is the part of a management policy that Azure documents and our rule uses
// (learn.microsoft.com, lifecycle management policy structure).
type lifecycle struct {
	Rules []struct {
		Name       string `json:"name"`
		Enabled    bool   `json:"enabled"`
		Type       string `json:"type"`
		Definition struct {
			Filters struct {
				BlobTypes   []string `json:"blobTypes"`
				PrefixMatch []string `json:"prefixMatch"`
			} `json:"filters"`
			Actions struct {
				BaseBlob struct {
					TierToCool struct {
						LastAccess int `json:"daysAfterLastAccessTimeGreaterThan"`
					} `json:"tierToCool"`
					Back bool `json:"enableAutoTierToHotFromCool"`
				} `json:"baseBlob"`
			} `json:"actions"`
		} `json:"definition"`
	} `json:"rules"`
}

func TestLifecycle_RuleCoolsEveryFileOfOurContainerAfter30Days(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("lifecycle.json")
	if err != nil {
		t.Fatal(err)
	}
	var p lifecycle
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields() // Azure refuses a policy with a misspelt member
	if err := dec.Decode(&p); err != nil || len(p.Rules) != 1 {
		t.Fatalf("%d rules, %v", len(p.Rules), err)
	}
	settings, err := config.Load[struct{ config.Blob }](func(name string) string {
		return map[string]string{"CASTAD_BLOB_CONNECTION": "x"}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	rule := p.Rules[0]
	if !rule.Enabled || rule.Type != "Lifecycle" || len(rule.Name) == 0 || len(rule.Name) > 256 {
		t.Errorf("rule %+v", rule)
	}
	// A prefix begins with the container's name and holds for all that begins with it: one wanted, with the slash.
	filters := rule.Definition.Filters
	if strings.Join(filters.PrefixMatch, ",") != settings.Container+"/" || strings.Join(filters.BlobTypes, ",") != "blockBlob" {
		t.Errorf("filters %+v don't name the container %q", filters, settings.Container)
	}
	if act := rule.Definition.Actions.BaseBlob; act.TierToCool.LastAccess != 30 || !act.Back {
		t.Errorf("actions %+v", act)
	}
}
