package schema_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"castad/internal/schema"
	"castad/internal/testkit"
)

func desired(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testkit.Root(), "schema.sql"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestApply_SecondTimeFindsNothing(t *testing.T) {
	t.Parallel()
	at := testkit.EmptyDatabase(t)
	ran, err := schema.Apply(t.Context(), at, desired(t), false)
	if err != nil || len(ran) == 0 {
		t.Fatalf("first apply ran %d statements: %v", len(ran), err)
	}
	again, err := schema.Diff(at, desired(t), false)
	if err != nil || len(again) > 0 {
		t.Errorf("second diff: %q, %v", again, err)
	}
}

const small = "CREATE TABLE `a` (`id` bigint NOT NULL, `b` varchar(10) NOT NULL, PRIMARY KEY (`id`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;"

func TestApply_AddsAndRefusesToDrop(t *testing.T) {
	t.Parallel()
	at := testkit.EmptyDatabase(t)
	if _, err := schema.Apply(t.Context(), at, small, false); err != nil {
		t.Fatal(err)
	}
	wider := "CREATE TABLE `a` (`id` bigint NOT NULL, `c` int NOT NULL DEFAULT 0, PRIMARY KEY (`id`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;"
	if ran, err := schema.Apply(t.Context(), at, wider, false); !errors.Is(err, schema.ErrDrops) || len(ran) > 0 {
		t.Errorf("a drop that isn't allowed: ran %q, %v", ran, err)
	}
	if _, err := schema.Apply(t.Context(), at, wider, true); err != nil {
		t.Errorf("a drop that is allowed: %v", err)
	}
	if rest, err := schema.Diff(at, wider, true); err != nil || len(rest) > 0 {
		t.Errorf("afterwards: %q, %v", rest, err)
	}
}
