package limit

import (
	"fmt"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// Rate is Count calls in Per on the long run, and Burst at once: a bucket of Burst that fills by Count in Per.
type Rate struct {
	Count int
	Per   time.Duration // up to a day
	Burst int
}

// String returns the rate as COUNT/TIME/BURST.
func (r Rate) String() string { return fmt.Sprintf("%d/%v/%d", r.Count, r.Per, r.Burst) }

// parts is into how many a second is divided.
const parts = 1 << 16

// gcra puts the rate into the script's words. The time between two calls becomes a whole number of binary parts of a
// second, rounded up, with which floating point numbers compute exactly. Without it they fall short, and the script
// counts one call too many: seen with 600/1m and a burst of 200, whose first call was told that 198 were left.
func (r Rate) gcra() redis_rate.Limit {
	wanted, count := int64(r.Per)*parts, int64(r.Count)*int64(time.Second)
	return redis_rate.Limit{Rate: parts, Period: time.Duration((wanted+count-1)/count) * time.Second, Burst: r.Burst}
}

const slack = time.Second // for roundings, and for answers that tell of the second before

// longest is how long a bucket that is empty takes to be full again.
func longest(r redis_rate.Limit) time.Duration {
	return time.Duration(float64(r.Period)/float64(r.Rate)*float64(r.Burst)) + slack
}
