package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/smithy-go/middleware"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lease is one that takes any record, unless it fails.
type lease struct {
	resourcelock.Interface
	err error
}

func (l *lease) Identity() string { return "me" }
func (l *lease) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	return l.err
}
func (l *lease) Update(context.Context, resourcelock.LeaderElectionRecord) error {
	return l.err
}

func TestFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := &lease{}
		f := &fence{Interface: under, valid: 10 * time.Second}
		conn := f.wrap(roundTripper(func(*http.Request) (*http.Response, error) { return &http.Response{}, nil }))
		check := func(what string, may bool) {
			t.Helper()
			read, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api/", nil)
			if _, err := conn.RoundTrip(read); err != nil {
				t.Errorf("%s: reading: %v", what, err)
			}
			write, _ := http.NewRequestWithContext(t.Context(), http.MethodPatch, "https://api/", strings.NewReader("{}"))
			if _, err := conn.RoundTrip(write); may && err != nil || !may && !errors.Is(err, errFenced) {
				t.Errorf("%s: writing: %v, want allowed: %t", what, err, may)
			}
		}
		mine, nobodys := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}, resourcelock.LeaderElectionRecord{}

		check("before it leads", false)
		_ = f.Create(t.Context(), mine)
		check("as leader", true)
		time.Sleep(9 * time.Second)
		check("before the deadline", true)
		_ = f.Update(t.Context(), mine)
		time.Sleep(9 * time.Second)
		check("renewed", true)
		under.err = errors.New("away")
		_ = f.Update(t.Context(), mine)
		time.Sleep(time.Second)
		check("not renewed in time", false)
		under.err = nil
		_ = f.Update(t.Context(), mine)
		check("renewed again", true)
		_ = f.Update(t.Context(), nobodys)
		check("given back", false)
	})
}

// TestFenceAtAWS: what changes nothing may go on, what changes something may not
// be sent, not even again.
func TestFenceAtAWS(t *testing.T) {
	f := &fence{Interface: &lease{}, valid: time.Minute}
	sent := 0
	client := elb.New(elb.Options{
		Region:      "eu-central-1",
		Credentials: sdk.AnonymousCredentials{},
		APIOptions:  []func(*middleware.Stack) error{f.guard},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
		HTTPClient: roundTripperClient(func(*http.Request) (*http.Response, error) {
			sent++
			f.renewed.Store(nil) // the lease ends while a call is on its way, and fails
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}, nil
		}),
	})
	look := func() error {
		_, err := client.DescribeLoadBalancers(t.Context(), &elb.DescribeLoadBalancersInput{})
		return err
	}
	change := func() error {
		_, err := client.DeleteLoadBalancer(t.Context(), &elb.DeleteLoadBalancerInput{LoadBalancerArn: sdk.String("arn")})
		return err
	}
	mine := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}
	for _, tc := range []struct {
		why   string
		leads bool
		call  func() error
		sent  int
		held  bool
	}{
		{"a standby looks", false, look, 3, false},
		{"a standby changes something", false, change, 0, true},
		{"a leader changes something, and is none by the time of the second try", true, change, 1, true},
		{"a leader looks", true, look, 3, false},
	} {
		if tc.leads {
			_ = f.Update(t.Context(), mine)
		}
		sent = 0
		if err := tc.call(); errors.Is(err, errFenced) != tc.held || sent != tc.sent {
			t.Errorf("%s: sent %d times, want %d: %v", tc.why, sent, tc.sent, err)
		}
	}
}

type roundTripperClient func(*http.Request) (*http.Response, error)

func (f roundTripperClient) Do(req *http.Request) (*http.Response, error) { return f(req) }
