package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/internal/auth"
)

func TestChoosePorts_RemembersAndMoves(t *testing.T) {
	t.Parallel()
	at := state(t.TempDir())
	var said []string
	say := func(line string) { said = append(said, line) }
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := taken.Addr().(*net.TCPAddr).Port
	first, err := at.choosePorts(port, say)
	if err != nil {
		t.Fatal(err)
	}
	if first["api"] == port || len(said) == 0 || said[0] != fmt.Sprintf("port %d is taken: api listens on %d", port, first["api"]) {
		t.Errorf("a taken port: got %v, said %q", first, said)
	}
	distinct := map[int]bool{}
	for _, p := range first {
		distinct[p] = true
	}
	if len(distinct) != len(usual) {
		t.Errorf("ports are given twice, or not at all: %v", first)
	}
	taken.Close()
	second, err := at.choosePorts(0, say)
	if err != nil {
		t.Fatal(err)
	}
	if second["api"] != first["api"] {
		t.Errorf("the second start's API listens on %d, want %d again", second["api"], first["api"])
	}
}

func TestSecrets_AreMadeOnce(t *testing.T) {
	t.Parallel()
	at := state(t.TempDir())
	made, err := at.makeSecrets()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth.ParseKeys(made.JWT); err != nil {
		t.Errorf("the API can't use the token key: %v", err)
	}
	again, err := at.makeSecrets()
	if diff := cmp.Diff(again, made); err != nil || diff != "" {
		t.Errorf("the second time, %v (-got +want):\n%s", err, diff)
	}
	if info, err := os.Stat(at.path(secretsFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the secrets: %v, %v", info, err)
	}
}

func TestRotate_PutsLargeLogsAside(t *testing.T) {
	t.Parallel()
	at := state(t.TempDir())
	if err := at.make(); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int64{"api": largestLog + 1, "song": largestLog} {
		if err := errors.Join(os.WriteFile(at.log(name), nil, 0o600), os.Truncate(at.log(name), size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := at.rotate(); err != nil {
		t.Fatal(err)
	}
	_, api := os.Stat(at.log("api"))
	_, aside := os.Stat(at.log("api") + ".1")
	_, song := os.Stat(at.log("song"))
	if !errors.Is(api, os.ErrNotExist) || aside != nil || song != nil {
		t.Errorf("after rotation: %v; %v; %v", api, aside, song)
	}
}
