package relay

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are what the relay that publishes says of the broker's state and of the rows'; those that stand by say 0.
type gauges struct {
	leading, stranded, due, overdue, unsent prometheus.Gauge

	looks []int // at stranded messages, the newest last
}

// strandedLooks is how many looks have to see stranded messages before it is believed: work comes and goes between the
// questions of one look.
const strandedLooks = 8

// newGauges returns gauges that can be set also where it returns an error.
func newGauges(with prometheus.Registerer) (*gauges, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "castad_" + name, Help: help})
	}
	g := &gauges{
		leading:  gauge("relay_leading", "1 for the relay that publishes, 0 for those that stand by."),
		stranded: gauge("work_stranded_messages", "Messages of the work stream that no consumer will deliver; the relay frees them."),
		due:      gauge("runs_due", "Runs that are due and that the broker hasn't been told of, up to 10000."),
		overdue:  gauge("runs_overdue_seconds", "How long the longest of them has been due."),
		unsent:   gauge("facts_unsent", "Facts that the broker hasn't confirmed, up to 10000."),
	}
	for _, collector := range g.all() {
		if with == nil {
			break
		}
		if err := with.Register(collector); err != nil {
			return g, fmt.Errorf("register the relay's metrics: %w", err)
		}
	}
	return g, nil
}

func (g *gauges) all() []prometheus.Gauge {
	return []prometheus.Gauge{g.leading, g.stranded, g.due, g.overdue, g.unsent}
}

// lead begins a leadership; rest ends it.
func (g *gauges) lead() { g.leading.Set(1) }

func (g *gauges) rest() {
	g.looks = nil
	for _, gauge := range g.all() {
		gauge.Set(0)
	}
}

// look notes how many messages seem to be stranded, and returns how many surely are.
func (g *gauges) look(stranded int) int {
	g.looks = append(g.looks, stranded)
	g.looks = g.looks[max(0, len(g.looks)-strandedLooks):]
	sure := 0
	if len(g.looks) == strandedLooks {
		sure = max(0, slices.Min(g.looks))
	}
	g.stranded.Set(float64(sure))
	return sure
}

// measure sets the gauges, and frees messages that no consumer would deliver: as long as they lie there, the broker
// refuses every other message for their runs.
func (r *Relay) measure(ctx context.Context) error {
	owed, err := r.DB.Owed(ctx)
	if err != nil {
		return err
	}
	r.gauges.due.Set(float64(owed.Runs))
	r.gauges.overdue.Set(owed.Oldest.Seconds())
	r.gauges.unsent.Set(float64(owed.Facts))
	ctx, cancel := context.WithTimeout(ctx, guardEvery)
	defer cancel()
	stranded, ahead, err := r.Broker.Stranded(ctx)
	if err != nil {
		return err
	}
	if sure := r.gauges.look(stranded); sure == 0 && !ahead {
		return nil
	}
	freed, err := r.Broker.Free(ctx)
	if err != nil {
		return err
	}
	r.gauges.looks = nil
	r.Log.Error().Int("messages", stranded).Any("stages", freed).Msg("stranded work was freed")
	return nil
}
