package servers_test

import (
	"net"
	"testing"

	"castad/internal/servers"
)

func TestFreePort(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	if port, moved, err := servers.FreePort(taken); err != nil || !moved || port <= taken {
		t.Errorf("FreePort(%d), which is taken = %d, %v, %v", taken, port, moved, err)
	}
	if port, moved, err := servers.FreePort(0); err != nil || moved || port == 0 {
		t.Errorf("FreePort(0) = %d, %v, %v", port, moved, err)
	}
	if port, _, err := servers.FreePort(70000); err == nil {
		t.Errorf("FreePort(70000) = %d", port)
	}
}
