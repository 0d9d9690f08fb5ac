package fetch

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

var errReached = errors.New("this address would have been reached")

// Spy has names answered by resolver, and connects to nothing: reached gets each address that a connection would have
// been made to, past all that judges it.
func (c *Client) Spy(resolver *net.Resolver, reached func(netip.Addr)) {
	judge := c.dialer.Control
	c.dialer.Resolver = resolver
	c.dialer.Control = func(network, address string, conn syscall.RawConn) error {
		if err := judge(network, address, conn); err != nil {
			return err
		}
		reached(netip.MustParseAddrPort(address).Addr())
		return errReached
	}
}
