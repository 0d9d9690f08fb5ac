package servers

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// StartRedis starts an in-memory Redis on addr ("127.0.0.1:0" for any port). It forgets everything at its end, as our
// Redis may.
func StartRedis(addr string) (*miniredis.Miniredis, error) {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true) // without it nothing ever expires
	if err := m.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("start Redis on %s: %w", addr, err)
	}
	return m, nil
}
