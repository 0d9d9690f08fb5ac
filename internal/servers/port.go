package servers

import (
	"fmt"
	"net"
)

// portsTried is how many ports after the wanted one are looked at.
const portsTried = 50

// FreePort returns the wanted port of loopback, or the next one that is free; moved tells which it was. Wanted 0 is any.
// Nothing keeps others from taking it before its use.
func FreePort(wanted int) (port int, moved bool, err error) {
	last := min(wanted+portsTried-1, 65535)
	for try := wanted; try <= last; try++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", try))
		if err != nil {
			continue
		}
		port = listener.Addr().(*net.TCPAddr).Port
		listener.Close()
		return port, wanted != 0 && port != wanted, nil
	}
	return 0, false, fmt.Errorf("all ports from %d to %d are taken: end what uses them, or set another port", wanted, last)
}
