package fetch

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"castad/internal/fault"
)

const maxURLBytes = 2048

// CheckURL says without any network whether an address may be asked for at all: http or https, no user or
// password, port 80 or 443 (or none), and neither a name nor a number in any notation that can't be public.
// What a name points to is judged only when connecting. Faults: "url_malformed", "url_not_public".
func (c *Client) CheckURL(raw string) error {
	at, err := url.Parse(raw)
	switch {
	case err != nil || len(raw) > maxURLBytes || at.Hostname() == "":
		return fault.Stop("url_malformed", errors.New("address can't be parsed"))
	case at.Scheme != "http" && at.Scheme != "https":
		return fault.Stop("url_malformed", errors.New("address is neither http nor https"))
	case at.User != nil:
		return fault.Stop("url_malformed", errors.New("address holds a user name"))
	case slices.Contains(c.cfg.Allow, net.JoinHostPort(at.Hostname(), portOf(at))):
		return nil
	case portOf(at) != "80" && portOf(at) != "443":
		return fault.Stop("url_not_public", fmt.Errorf("port %s isn't a web server's", portOf(at)))
	}
	return c.checkHost(at.Hostname())
}

func portOf(at *url.URL) string {
	if port := at.Port(); port != "" {
		return port
	}
	if at.Scheme == "https" {
		return "443"
	}
	return "80"
}

func (c *Client) checkHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		return c.checkIP(ip)
	}
	name, err := idna.Lookup.ToASCII(host) // also folds full-width digits and dots
	if err != nil {
		return fault.Stop("url_malformed", errors.New("host isn't a name"))
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	labels := strings.Split(name, ".")
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		ip, ok := numeric(labels)
		if !ok {
			return fault.Stop("url_malformed", errors.New("host isn't an address"))
		}
		return c.checkIP(ip)
	}
	if len(labels) == 1 || private(name) {
		return fault.Stop("url_not_public", fmt.Errorf("%s isn't a public name", name))
	}
	return nil
}

func (c *Client) checkIP(ip netip.Addr) error {
	network, plain := "tcp4", ip.WithZone("").Unmap()
	if plain.Is6() {
		network = "tcp6"
	}
	if err := c.guard.Safe(network, netip.AddrPortFrom(plain, 443).String(), nil); err != nil {
		return fault.Stop("url_not_public", err)
	}
	return nil
}

// private reports whether a name is reserved for machines that aren't public (RFC 6761, 6762, 8375, and ICANN's "internal").
func private(name string) bool {
	for _, zone := range []string{"localhost", "local", "internal", "localdomain", "home.arpa", "lan", "intranet", "onion", "test"} {
		if name == zone || strings.HasSuffix(name, "."+zone) {
			return true
		}
	}
	return false
}

// numeric reads an IPv4 address as browsers and C libraries do: one to four parts, each decimal, octal
// (leading 0) or hexadecimal (0x), the last one filling all bytes that are left.
// The rules: "ends in a number" and the IPv4 parser of the WHATWG URL standard.
func numeric(parts []string) (netip.Addr, bool) {
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		n, ok := number(part)
		room := uint64(math.MaxUint8)
		if i == len(parts)-1 {
			room = 1<<(8*(5-len(parts))) - 1
		}
		if !ok || n > room {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			sum += n
		} else {
			sum += n << (8 * (3 - i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

func number(part string) (uint64, bool) {
	digits, base := part, 10
	if rest, ok := strings.CutPrefix(part, "0x"); ok {
		digits, base = rest, 16
	} else if len(part) > 1 && part[0] == '0' {
		digits, base = part[1:], 8
	}
	if digits == "" && base == 16 {
		return 0, true
	}
	n, err := strconv.ParseUint(digits, base, 64)
	return n, err == nil
}
