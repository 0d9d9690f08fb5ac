package limit

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// register makes the metric castad_limited_calls_total, by limit and outcome: allowed, refused, or uncounted because
// Redis couldn't be asked. Several Limiters of a process share it.
func register(with prometheus.Registerer) (*prometheus.CounterVec, error) {
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "castad_limited_calls_total",
		Help: "Calls under a rate limit, by limit and outcome (allowed, refused, uncounted)."}, []string{"limit", "outcome"})
	if with == nil {
		return decisions, nil
	}
	err := with.Register(decisions)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if shared, ok := already.ExistingCollector.(*prometheus.CounterVec); ok {
			return shared, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("register the limits' metric: %w", err)
	}
	return decisions, nil
}

func (l *Limiter) decided(call Call, v Verdict) {
	outcome := "refused"
	if v.Allowed {
		outcome = "allowed"
	}
	l.decisions.WithLabelValues(call.Limit, outcome).Inc()
}

func (l *Limiter) uncounted(call Call) {
	l.told.missed()
	l.decisions.WithLabelValues(call.Limit, "uncounted").Inc()
}
