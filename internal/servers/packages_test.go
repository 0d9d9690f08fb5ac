package servers_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/internal/servers"
)

// tiny is a package of a few kilobytes that no system has installed for its own needs, and its program.
const tiny, tinyProgram = "hello", "usr/bin/hello"

func TestCache_FetchesOnceForTwo(t *testing.T) {
	t.Parallel()
	cache := servers.Cache{Dir: t.TempDir(), Say: func(line string) { t.Log(line) }}
	leave(t, cache.Dir)
	type outcome struct {
		root string
		err  error
	}
	outcomes := make(chan outcome)
	for range 2 {
		go func() {
			root, err := cache.Packages(t.Context(), "tiny", tiny)
			outcomes <- outcome{root, err}
		}()
	}
	first, second := <-outcomes, <-outcomes
	if first.err != nil || second.err != nil {
		t.Fatalf("fetch: %v; %v", first.err, second.err)
	}
	if first.root != second.root {
		t.Errorf("two folders: %s and %s", first.root, second.root)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(first.root, tinyProgram)).Output()
	if err != nil || !strings.Contains(string(out), "world") {
		t.Errorf("the unpacked program says %q: %v", out, err)
	}
	if diff := cmp.Diff(list(t, cache.Dir), []string{filepath.Base(first.root), filepath.Base(first.root) + ".lock"}); diff != "" {
		t.Errorf("the cache (-got +want):\n%s", diff)
	}
}

// leave makes the folder as a killed process would leave it in the middle of its download.
func leave(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, servers.Fetching("tiny", tiny)+"123", "dl"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestCache_UnknownPackageIsSaid(t *testing.T) {
	t.Parallel()
	cache := servers.Cache{Dir: t.TempDir()}
	_, err := cache.Packages(t.Context(), "none", "castad-has-no-such-package")
	if err == nil || !strings.Contains(err.Error(), "castad-has-no-such-package") {
		t.Errorf("fetch of nothing: %v", err)
	}
}

func TestMedia_UnpackedFFmpegRuns(t *testing.T) {
	t.Parallel()
	media, err := servers.Cache{Say: func(line string) { t.Log(line) }}.Media(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), media.FFmpeg, "-hide_banner", "-encoders").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, encoder := range []string{"libx264", "aac", "libmp3lame"} {
		if !strings.Contains(string(out), encoder) {
			t.Errorf("ffmpeg has no %s", encoder)
		}
	}
	if fonts, err := filepath.Glob(filepath.Join(media.Fonts, "opentype", "noto", "NotoSansCJK-Bold.ttc")); err != nil || len(fonts) != 1 {
		t.Errorf("fonts: %q, %v", fonts, err)
	}
}
