package main

import (
	"encoding/json"
	"fmt"

	"castad/internal/servers"
)

// ports are of loopback, by the name of what listens.
type ports map[string]int

// usual are the ports that are tried first, in the order in which they are chosen.
var usual = []struct {
	name string
	port int
}{
	{"api", 8080}, {"sandbox", 9700}, {"broker", 4222}, {"monitor", 8222}, {"mariadb", 33306}, {"redis", 36379},
	{"relay", 8301}, {"crawl", 8302}, {"intel", 8303}, {"lyric", 8304}, {"song", 8305}, {"video", 8306}, {"upload", 8307},
}

const portsFile = "ports.json"

// choosePorts takes the ports of the last start, or the usual ones, or the next that are free, and remembers them.
// api, if not 0, is wanted for the API.
func (s state) choosePorts(api int, say func(line string)) (ports, error) {
	known := ports{}
	if err := s.read(portsFile, &known); err != nil {
		return nil, err
	}
	if api != 0 {
		known["api"] = api
	}
	chosen, err := known.choose(say)
	if err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(chosen, "", "  ")
	if err != nil {
		return nil, err
	}
	return chosen, s.write(portsFile, raw)
}

func (known ports) choose(say func(line string)) (ports, error) {
	chosen, taken := ports{}, map[int]bool{}
	for _, u := range usual {
		wanted := u.port
		if known[u.name] != 0 {
			wanted = known[u.name]
		}
		port, err := next(wanted, taken)
		if err != nil {
			return nil, fmt.Errorf("find a port for %s: %w", u.name, err)
		}
		if port != wanted {
			say(moved(u.name, wanted, port))
		}
		chosen[u.name], taken[port] = port, true
	}
	return chosen, nil
}

// next finds a free port that isn't promised to another of ours, which doesn't listen yet.
func next(wanted int, taken map[int]bool) (int, error) {
	for {
		port, _, err := servers.FreePort(wanted)
		if err != nil || !taken[port] {
			return port, err
		}
		wanted = port + 1
	}
}

func moved(name string, wanted, port int) string {
	line := fmt.Sprintf("port %d is taken: %s listens on %d", wanted, name, port)
	if name == "sandbox" {
		line += " (files of earlier tasks have the old port in their addresses)"
	}
	return line
}
