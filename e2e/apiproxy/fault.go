package apiproxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Fault is what may happen to a request on its way to the API server.
type Fault struct {
	// Only are the requests that it can happen to; all if nil.
	Only func(Request) bool
	// Rate is how many of those it happens to, of 1; all if zero.
	Rate float64
	// Latency is how long the request is held up first.
	Latency time.Duration
	// Status is answered in place of the API server, as it would: 409, 429,
	// 500. Zero lets the request pass.
	Status int
	// RetryAfter goes with the answer, in whole seconds.
	RetryAfter time.Duration
}

// Writes is for Fault.Only: the requests that change something.
func Writes(r Request) bool { return r.Write() }

// On is for Fault.Only: the requests with that verb on that resource.
func On(verb, resource string) func(Request) bool {
	return func(r Request) bool { return r.Verb == verb && r.Resource == resource }
}

func (f Fault) concerns(r Request) bool { return f.Only == nil || f.Only(r) }

var reasons = map[int]metav1.StatusReason{
	http.StatusForbidden:           metav1.StatusReasonForbidden,
	http.StatusNotFound:            metav1.StatusReasonNotFound,
	http.StatusConflict:            metav1.StatusReasonConflict,
	http.StatusTooManyRequests:     metav1.StatusReasonTooManyRequests,
	http.StatusInternalServerError: metav1.StatusReasonInternalError,
	http.StatusServiceUnavailable:  metav1.StatusReasonServiceUnavailable,
}

func (f Fault) answer(w http.ResponseWriter, r Request) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure,
		Code:     int32(f.Status),
		Reason:   reasons[f.Status],
		Message:  fmt.Sprintf("%s %s %q: a fault of the lab", r.Verb, r.Resource, r.Name),
	}
	w.Header().Set("Content-Type", "application/json")
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(f.RetryAfter.Seconds())))
		status.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(f.RetryAfter.Seconds())}
	}
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(status)
}
