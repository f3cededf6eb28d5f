package fakeaws

import (
	"net/http"
	"path"
	"time"
)

// FaultKind is what goes wrong with a call.
type FaultKind string

// Kinds of faults.
const (
	// Err500 answers with an internal error, and changes nothing.
	Err500 FaultKind = "Err500"
	// Timeout cuts the connection before anything has changed.
	Timeout FaultKind = "Timeout"
	// Silence never answers, and changes nothing: who called has to hang up.
	Silence FaultKind = "Silence"
	// LostAnswer makes the change, and cuts the connection.
	LostAnswer FaultKind = "LostAnswer"
	// Throttle refuses one call as an empty bucket does.
	Throttle FaultKind = "Throttle"
	// Storm throttles all calls of the actions for Duration from then on.
	Storm FaultKind = "Storm"
	// Refuse answers with Code and Status, 400 where that is zero.
	Refuse FaultKind = "Refuse"
)

// Fault has calls go wrong.
type Fault struct {
	// Action is a name or pattern, such as CreateListener or Create*; empty is
	// any. It may begin with a service, as in ec2:Describe*.
	Action string
	// Nth is the call that it hits, counted from one when it is injected; Every
	// hits each of that many calls. Neither is the next call.
	Nth, Every int
	Kind       FaultKind
	Duration   time.Duration // of a Storm
	Code       string        // of Refuse
	Message    string
	Status     int
}

// armed is a Fault that waits.
type armed struct {
	Fault
	seen int
}

type storm struct {
	action string
	until  time.Time
}

// Inject has calls go wrong from now on. A fault of one call is gone once it has
// hit.
func (c *Cloud) Inject(faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range faults {
		if f.Nth == 0 && f.Every == 0 {
			f.Nth = 1
		}
		c.faults = append(c.faults, &armed{Fault: f})
	}
}

// Waiting returns the faults that have not hit yet, and those that go on.
func (c *Cloud) Waiting() []Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	var waiting []Fault
	for _, f := range c.faults {
		waiting = append(waiting, f.Fault)
	}
	return waiting
}

// ClearFaults ends all faults and storms.
func (c *Cloud) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults, c.storms = nil, nil
}

// Deny has IAM refuse actions such as elasticloadbalancing:CreateListener, or
// patterns of them, until they are allowed again under the same name.
func (c *Cloud) Deny(actions ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range actions {
		c.denied[a] = true
	}
}

// Allow takes back what Deny was told.
func (c *Cloud) Allow(actions ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range actions {
		delete(c.denied, a)
	}
}

// fault says what goes wrong with a call, if anything does.
func (c *Cloud) fault(call Call, d dialect) (FaultKind, error) {
	hit := c.hit(call)
	if hit != nil && hit.Kind == Storm {
		c.storms = append(c.storms, storm{action: hit.Action, until: call.Time.Add(hit.Duration)})
	}
	for _, s := range c.storms {
		if call.Time.Before(s.until) && call.is(s.action) {
			return Storm, d.throttling()
		}
	}
	if hit == nil {
		return "", nil
	}
	switch hit.Kind {
	case Err500:
		return Err500, d.failure()
	case Throttle:
		return Throttle, d.throttling()
	case Refuse:
		status := hit.Status
		if status == 0 {
			status = http.StatusBadRequest
		}
		return Refuse, &apiError{status: status, code: hit.Code, message: hit.Message}
	}
	return hit.Kind, nil
}

// hit counts a call with every fault that waits for it, and returns the first
// that hits.
func (c *Cloud) hit(call Call) *armed {
	var hit *armed
	keep := c.faults[:0]
	for _, f := range c.faults {
		if !call.is(f.Action) {
			keep = append(keep, f)
			continue
		}
		f.seen++
		due := f.seen == f.Nth || f.Every > 0 && f.seen%f.Every == 0
		switch {
		case due && hit != nil:
			f.seen-- // its turn is the next call
		case due:
			hit = f
		}
		if f != hit || f.Every > 0 {
			keep = append(keep, f)
		}
	}
	c.faults = keep
	return hit
}

// is says whether pattern means call.
func (c Call) is(pattern string) bool {
	if pattern == "" {
		return true
	}
	short, _ := path.Match(pattern, c.Action)
	long, _ := path.Match(pattern, c.Service+":"+c.Action)
	return short || long
}

func matches(patterns map[string]bool, name string) bool {
	for pattern := range patterns {
		if match, _ := path.Match(pattern, name); match {
			return true
		}
	}
	return false
}
