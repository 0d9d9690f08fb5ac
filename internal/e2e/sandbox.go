package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Sandbox returns the sandbox's address.
func (p *Product) Sandbox() string { return p.at(key("sandbox", 0)) }

// Fault makes calls to the sandbox fail, as a JSON object that POST /admin/faults there takes.
func (p *Product) Fault(fault string) {
	p.t.Helper()
	resp, err := http.Post(p.Sandbox()+"/admin/faults", "application/json", strings.NewReader(fault))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		p.t.Fatalf("the sandbox doesn't take the fault %s: status %d", fault, resp.StatusCode)
	}
}

// PendingFault is a fault that hasn't happened as often as it shall.
type PendingFault struct{ Provider, Call string }

// PendingFaults asks the sandbox.
func (p *Product) PendingFaults() ([]PendingFault, error) {
	resp, err := http.Get(p.Sandbox() + "/admin/faults")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var pending []PendingFault
	err = json.NewDecoder(resp.Body).Decode(&pending)
	return pending, err
}

// FaultN has the next n orders at a provider go wrong that hold a text.
func (p *Product) FaultN(provider, contains, what string, n int) {
	p.t.Helper()
	p.Fault(fmt.Sprintf(`{"provider":%q,"call":"create","contains":%q,"what":%q,"count":%d}`, provider, contains, what, n))
}

// Bill is what a real account would have been charged, as the sandbox counts it.
type Bill struct {
	Providers map[string]struct {
		Calls  int   `json:"calls"`
		Micros int64 `json:"micros"`
	} `json:"providers"`
	Marks map[string]int `json:"marks"`
}

// Bill asks the sandbox.
func (p *Product) Bill() Bill {
	p.t.Helper()
	resp, err := http.Get(p.Sandbox() + "/bill")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var bill Bill
	if err := json.NewDecoder(resp.Body).Decode(&bill); err != nil {
		p.t.Fatal(err)
	}
	return bill
}
