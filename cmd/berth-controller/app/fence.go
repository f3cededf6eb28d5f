package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// errFenced is the error of writes that come too late.
var errFenced = errors.New("not written, as another process may lead by now: the lease was not renewed in time")

// fence keeps a process from writing, and from changing anything in a cloud, once
// another may lead: one that was frozen goes on where it was, with what it knew
// then, and learns of its loss only by the next renewal that fails.
//
// It closes valid after the start of the last renewal; what the lease lasts
// beyond that is for the writes that are on their way.
type fence struct {
	resourcelock.Interface
	valid   time.Duration
	renewed atomic.Pointer[time.Time] // nil while another leads
}

// Create and Update are what the lease is taken, renewed and given back by.
func (f *fence) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	began := time.Now()
	return f.note(began, record, f.Interface.Create(ctx, record))
}

func (f *fence) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	began := time.Now()
	return f.note(began, record, f.Interface.Update(ctx, record))
}

func (f *fence) note(began time.Time, record resourcelock.LeaderElectionRecord, err error) error {
	switch {
	case err != nil:
	case record.HolderIdentity == f.Identity():
		f.renewed.Store(&began)
	default:
		f.renewed.Store(nil)
	}
	return err
}

// open says whether this process leads for certain. Of its two clocks one
// stands still while the machine sleeps, and the other can be set.
func (f *fence) open() bool {
	at := f.renewed.Load()
	return at != nil && time.Since(*at) < f.valid && time.Now().Round(0).Sub(at.Round(0)) < f.valid
}

// wrap puts the fence around a connection to the API server.
func (f *fence) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodGet || f.open() {
			return next.RoundTrip(req)
		}
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, errFenced
	})
}

// guard puts the fence around the calls of an AWS client: each attempt of one
// that is not known to change nothing.
func (f *fence) guard(stack *middleware.Stack) error {
	return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("fence",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			if looks(awsmiddleware.GetOperationName(ctx)) || f.open() {
				return next.HandleFinalize(ctx, in)
			}
			return middleware.FinalizeOutput{}, middleware.Metadata{}, errFenced
		}), middleware.After)
}

// looks says whether an operation at AWS changes nothing, by its name.
func looks(operation string) bool {
	return strings.HasPrefix(operation, "Describe") || strings.HasPrefix(operation, "Get")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
