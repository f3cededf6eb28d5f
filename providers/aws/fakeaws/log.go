package fakeaws

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Call is one call as the account's trail has it.
type Call struct {
	Time time.Time
	// Service is the name that IAM has for it, such as elasticloadbalancing.
	Service, Action string
	// Parameters are one line.
	Parameters string
	// Code is the error that it was refused with; empty for success.
	Code      string
	Throttled bool
	// Fault is what was injected, if anything. Cut: the caller never got the
	// answer.
	Fault FaultKind
	Cut   bool
}

// Changes says whether calls of this kind change anything.
func (c Call) Changes() bool {
	return !strings.HasPrefix(c.Action, "Describe") && !strings.HasPrefix(c.Action, "Get")
}

// String returns one line.
func (c Call) String() string {
	outcome := "ok"
	if c.Code != "" {
		outcome = c.Code
	}
	if c.Cut {
		outcome += ", answer lost"
	}
	return fmt.Sprintf("%s %s (%s) %s", c.Service, c.Action, outcome, c.Parameters)
}

// Calls returns all calls since the last Reset, in order.
func (c *Cloud) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// Counts returns how many calls there were of each action, throttled ones
// included.
func (c *Cloud) Counts() map[string]int {
	counts := map[string]int{}
	for _, call := range c.Calls() {
		counts[call.Action]++
	}
	return counts
}

// Reset empties the log.
func (c *Cloud) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = nil
}

// OnCall has f called before each call is looked at, whose outcome is not known
// yet. Calls that come in at once call f at once; it may use the Cloud.
func (c *Cloud) OnCall(f func(Call)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f == nil {
		f = func(Call) {}
	}
	c.onCall = f
}
