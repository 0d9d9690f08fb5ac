package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

func (d *dev) brokerService() service {
	p := d.ownProgram("broker", "--config", d.config, "--state", string(d.at),
		"--port", strconv.Itoa(d.ports["broker"]), "--monitor", strconv.Itoa(d.ports["monitor"]))
	return service{name: "broker", where: "nats://" + local(d.ports["broker"]), start: p.service(),
		ready: answers("http://" + local(d.ports["monitor"]) + "/healthz")}
}

func (d *dev) redisService() service {
	addr := local(d.ports["redis"])
	p := d.ownProgram("redis", "--addr", addr)
	return service{name: "redis", where: "redis://" + addr, start: p.service(), ready: pongs(addr)}
}

func (d *dev) sandboxService() service {
	media := map[string]string{}
	if !d.quick {
		media = map[string]string{"CASTAD_SANDBOX_FFMPEG": d.media.FFmpeg, "CASTAD_SANDBOX_FONTS": d.media.Fonts,
			"CASTAD_SANDBOX_SOUNDFONT": d.media.Soundfont}
	}
	p := d.program(filepath.Join(d.bin, "sandbox"), "sandbox", nil, media, d.values)
	return service{name: "sandbox", where: d.sandboxURL(), start: p.service(), ready: answers(d.sandboxURL() + "/healthz")}
}

func (d *dev) apiService() service {
	p := d.program(filepath.Join(d.bin, "api"), "api", nil, d.values)
	return service{name: "api", where: d.apiURL(), start: p.service(), ready: answers(d.apiURL() + "/readyz")}
}

// programService is the relay or a consumer.
func (d *dev) programService(name string) service {
	health := local(d.ports[name])
	p := d.program(filepath.Join(d.bin, name), name, nil, d.values, map[string]string{"CASTAD_HEALTH_ADDR": health})
	return service{name: name, where: "http://" + health + "/metrics", start: p.service(), ready: answers("http://" + health + "/readyz")}
}

// welcome tells what can be done now.
func (d *dev) welcome(took time.Duration) {
	d.out.line(fmt.Sprintf("\nCastAD runs, after %.1f s.\n", took.Seconds()))
	lines := [][2]string{
		{"page", d.apiURL() + "/"},
		{"API", d.apiURL() + "/docs"},
		{"sandbox", d.sandboxURL() + "/   what every provider was asked, and would have charged"},
		{"broker", d.natsHost() + "   go tool task nats -- stream ls"},
		{"logs", d.at.log("<program>")},
		{"settings", d.at.path(envFile) + "   source it to run a program by hand"},
		{"demo", "go tool task demo   a place becomes a video, stage by stage"},
	}
	if d.own["CASTAD_NATS_URL"] == "" {
		lines = append(lines, [2]string{"monitor", "http://" + local(d.ports["monitor"]) + "/"})
	}
	for _, name := range d.realProviders() {
		lines = append(lines, [2]string{"real", name + " is called for real, and costs: its credentials are set"})
	}
	for _, line := range lines {
		d.out.line(fmt.Sprintf("  %-9s %s", line[0], line[1]))
	}
	d.out.line("\nA token, and a task through all six stages:\n\n" + d.paste() + "\n\nCtrl-C stops everything.")
}

func (d *dev) natsHost() string {
	if d.own["CASTAD_NATS_URL"] != "" {
		return "the one of CASTAD_NATS_URL"
	}
	return "nats://" + local(d.ports["broker"])
}

// paste is what a shell takes as it is.
func (d *dev) paste() string {
	return `  TOKEN=$(curl -s ` + d.apiURL() + `/auth/dev/login -H 'Content-Type: application/json' -d '{"nickname":"owner"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -s ` + d.apiURL() + `/tasks -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -d '{"url":"https://map.naver.com/p/entry/place/1100000001","publish":[{"platform":"youtube"},{"platform":"instagram"}]}'`
}
