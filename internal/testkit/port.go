package testkit

import (
	"os"
	"sync/atomic"
	"testing"

	"castad/internal/servers"
)

// given counts those that this process has given out.
var given atomic.Int64

// FreePort returns a port of loopback that is free, and that this process hasn't given out before. It is below those
// that the system gives to outgoing connections, so that a server that was killed finds its port again.
func FreePort(t testing.TB) int {
	t.Helper()
	wanted := 10000 + (int64(os.Getpid())*997+given.Add(1))%20000
	port, _, err := servers.FreePort(int(wanted))
	if err != nil {
		t.Fatal(err)
	}
	given.Add(int64(port) - wanted)
	return port
}
