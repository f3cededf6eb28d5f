package providers

import (
	"errors"
	"time"
)

// Reasons of the condition Provisioned when it is False.
const (
	ReasonNoPool           = "NoPool"
	ReasonPoolExhausted    = "PoolExhausted"
	ReasonAddressInUse     = "AddressInUse"
	ReasonAddressNotInPool = "AddressNotInPool"
	ReasonInvalidRequest   = "InvalidRequest"
	ReasonQuotaExceeded    = "QuotaExceeded"
	ReasonThrottled        = "Throttled"
	ReasonProvisioning     = "Provisioning"
	ReasonBackendError     = "BackendError"
	ReasonReleasing        = "Releasing"
)

// ErrPending says that what is being released is not gone yet: call again.
var ErrPending = errors.New("still going away")

// Refusal is the error of a backend that can't serve a Service until something
// else changes. It is not retried by itself: the Service is looked at again
// when it changes, when the backend wakes it, or after RetryAfter.
type Refusal struct {
	// Reason is one of the Reason constants.
	Reason string
	// Message tells the user which object stands in the way and what to do.
	Message string
	// RetryAfter is how long to wait where nothing will wake the Service;
	// zero for ever.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string { return r.Reason + ": " + r.Message }
