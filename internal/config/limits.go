package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Limits are how often the API may be called, and where the calls are counted.
type Limits struct {
	Redis   Secret        `env:"CASTAD_REDIS_URL"`                            // redis://user:password@host:port/number, rediss:// with TLS; without it nothing is limited
	Timeout time.Duration `env:"CASTAD_REDIS_TIMEOUT" envDefault:"25ms"`      // the most that a request may lose to a slow Redis
	Submits Rate          `env:"CASTAD_LIMIT_SUBMITS" envDefault:"60/1h/20"`  // new tasks, per user
	Changes Rate          `env:"CASTAD_LIMIT_CHANGES" envDefault:"120/1m/60"` // all other POST, PUT and DELETE, per user
	Reads   Rate          `env:"CASTAD_LIMIT_READS" envDefault:"1200/1m/300"` // per user
	Streams Rate          `env:"CASTAD_LIMIT_STREAMS" envDefault:"300/1m"`    // event streams opened, per user
	Open    Rate          `env:"CASTAD_LIMIT_OPEN" envDefault:"300/1m"`       // requests without a valid token, per address
	Logins  Rate          `env:"CASTAD_LIMIT_LOGINS" envDefault:"30/1m/10"`   // per address
	Proxies []Network     `env:"CASTAD_TRUSTED_PROXIES"`                      // whose X-Forwarded-For is believed: addresses and networks, by commas
}

// Rate is so many in a time, and so many at once. It is written COUNT/TIME or COUNT/TIME/BURST, as 120/1m/60; without a
// burst, the whole count may come at once. The zero value, written 0, is no limit.
type Rate struct {
	Count int
	Per   time.Duration // a second to a day
	Burst int
}

const (
	shortestRate  = time.Second
	longestRate   = 24 * time.Hour
	mostPerSecond = 1000
	mostBurst     = 1_000_000
)

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*r = Rate{}
		return nil
	}
	parts := strings.Split(string(text), "/")
	if len(parts) != 2 && len(parts) != 3 {
		return fmt.Errorf("%q isn't a rate: write 120/1m, 120/1m/60 with a burst of 60, or 0 for no limit", text)
	}
	count, err := strconv.Atoi(parts[0])
	if err != nil {
		return fmt.Errorf("%q isn't a rate: its count isn't a number", text)
	}
	per, err := time.ParseDuration(parts[1])
	if err != nil {
		return fmt.Errorf("%q isn't a rate: its time isn't one like 1s, 1m or 1h", text)
	}
	read := Rate{Count: count, Per: per, Burst: count}
	if len(parts) == 3 {
		if read.Burst, err = strconv.Atoi(parts[2]); err != nil {
			return fmt.Errorf("%q isn't a rate: its burst isn't a number", text)
		}
	}
	if err := read.check(); err != nil {
		return fmt.Errorf("rate %q: %w", text, err)
	}
	*r = read
	return nil
}

func (r Rate) check() error {
	switch {
	case r.Count < 1 || r.Burst < 1:
		return errors.New("count and burst are at least 1; no limit is a single 0")
	case r.Burst > mostBurst:
		return fmt.Errorf("the burst is at most %d", mostBurst)
	case r.Per < shortestRate || r.Per > longestRate:
		return fmt.Errorf("the time is from %v to %v", shortestRate, longestRate)
	case float64(r.Count)/r.Per.Seconds() > mostPerSecond:
		return fmt.Errorf("more than %d a second can't be counted", mostPerSecond)
	}
	return nil
}

// Network is an address, or all addresses of a network: 10.0.0.7, 10.0.0.0/8, fd00::/8.
type Network struct{ netip.Prefix }

// UnmarshalText reads an address or a network.
func (n *Network) UnmarshalText(text []byte) error {
	written := strings.TrimSpace(string(text))
	if prefix, err := netip.ParsePrefix(written); err == nil {
		n.Prefix = prefix.Masked()
		return nil
	}
	addr, err := netip.ParseAddr(written)
	if err != nil {
		return fmt.Errorf("%q is neither an address nor a network: write 10.0.0.7 or 10.0.0.0/8", written)
	}
	n.Prefix = netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
	return nil
}
