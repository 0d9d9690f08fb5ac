package main

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// clientOf returns the address whose request it is, for counting. Of IPv6 it is the network of 64 bits: a household has
// all of one, and could otherwise take a fresh address for each request.
func (s *server) clientOf(c *fiber.Ctx) string {
	peer, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	var forwarded []string
	for _, line := range c.Request().Header.PeekAll(fiber.HeaderXForwardedFor) {
		forwarded = append(forwarded, strings.Split(string(line), ",")...)
	}
	client := behind(peer.Unmap(), forwarded, s.Limits.Proxies)
	if client.Is6() {
		return netip.PrefixFrom(client, 64).Masked().String()
	}
	return client.String()
}

// behind returns whom the trusted proxies name as their client. Each adds to X-Forwarded-For whom it heard the request
// from, so the list is read from its end, and only for as long as who added the entry is trusted: anything further
// left is what the client itself may have sent.
func behind(peer netip.Addr, forwarded []string, trusted []netip.Prefix) netip.Addr {
	for _, entry := range slices.Backward(forwarded) {
		if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(peer) }) {
			break
		}
		heard, err := hop(strings.TrimSpace(entry))
		if err != nil {
			break
		}
		peer = heard
	}
	return peer
}

// hop reads an entry of X-Forwarded-For. Some proxies add the port.
func hop(entry string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(entry); err == nil {
		return withPort.Addr().Unmap().WithZone(""), nil
	}
	addr, err := netip.ParseAddr(strings.Trim(entry, "[]"))
	return addr.Unmap().WithZone(""), err
}
