package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRate_Reads(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Rate{
		"0":           {},
		"120/1m":      {120, time.Minute, 120},
		"120/1m/60":   {120, time.Minute, 60},
		"1/24h/5":     {1, 24 * time.Hour, 5},
		"60000/1m":    {60000, time.Minute, 60000},
		"10/1h30m/20": {10, 90 * time.Minute, 20},
	} {
		var got Rate
		if err := got.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestRate_Refuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "1", "00", "-1", "0/1m", "5/0s", "5/1m/0", "5/1m/-1", "-5/1m", "5/500ms", "5/25h", "5/minute", "a/1m",
		"5/1m/b", "5/1m/2/1", "61000/1m", "5/1m/1000001", "99999999999999999999/1m"} {
		rate := Rate{Count: 7}
		if err := rate.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as %+v", text, rate)
		}
		if diff := cmp.Diff(Rate{Count: 7}, rate); diff != "" {
			t.Errorf("%q changed the rate: %s", text, diff)
		}
	}
}

func TestLimits_FromTheEnvironment(t *testing.T) {
	t.Parallel()
	env := map[string]string{"CASTAD_LIMIT_READS": "0", "CASTAD_LIMIT_LOGINS": "3/1h/2", "CASTAD_TRUSTED_PROXIES": "10.1.2.3/8, 192.0.2.7,fd00::1/64"}
	got, err := Load[Limits](func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Rate{{}, {3, time.Hour, 2}, {60, time.Hour, 20}}, []Rate{got.Reads, got.Logins, got.Submits}); diff != "" {
		t.Error(diff)
	}
	var networks []string
	for _, n := range got.Proxies {
		networks = append(networks, n.String())
	}
	if diff := cmp.Diff([]string{"10.0.0.0/8", "192.0.2.7/32", "fd00::/64"}, networks); diff != "" {
		t.Error(diff)
	}
}

func TestLimits_NamesEveryMistake(t *testing.T) {
	t.Parallel()
	env := map[string]string{"CASTAD_LIMIT_READS": "many", "CASTAD_LIMIT_OPEN": "5/1w", "CASTAD_TRUSTED_PROXIES": "proxy.example.com"}
	_, err := Load[Limits](func(name string) string { return env[name] })
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"Reads", "many", "Open", "5/1w", "Proxies", "proxy.example.com"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error doesn't tell of %s: %v", want, err)
		}
	}
}
