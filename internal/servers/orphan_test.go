package servers_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"castad/internal/servers"
)

// ownerEnv makes the test binary a process that starts a server in a folder and waits to be killed.
const ownerEnv = "CASTAD_SERVERS_TEST_OWNER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerEnv); dir != "" {
		own(dir)
	}
	os.Exit(m.Run())
}

func own(dir string) {
	port, _, err := servers.FreePort(0)
	if err != nil {
		panic(err)
	}
	m, err := servers.StartMariaDB(context.Background(), servers.MariaDBSettings{Dir: dir, Port: port})
	if err != nil {
		panic(err)
	}
	fmt.Println(m.Process())
	select {}
}

func TestMariaDB_WaitsForServerOfKilledOwner(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := settings(t, t.TempDir())
	owner := exec.CommandContext(t.Context(), self)
	owner.Env = append(os.Environ(), ownerEnv+"="+s.Dir)
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the owner says %q: %v", line, err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	run(t, open(t, start(t, s).DSN("castad")), "SELECT 1")
}
