package servers

import (
	"fmt"
	"net"
)

// portsTried is how many ports after the wanted one are looked at.
const portsTried = 50

// FreePort returns the wanted port of loopback, or the next one that is free; moved tells which it was.
func FreePort(wanted int) (port int, moved bool, err error) {
	for port := wanted; port < wanted+portsTried; port++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		listener.Close()
		return port, port != wanted, nil
	}
	return 0, false, fmt.Errorf("all ports from %d to %d are taken: end what uses them, or set another port", wanted, wanted+portsTried-1)
}
