package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	smithy "github.com/aws/smithy-go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
	"github.com/berth-lb/berth/providers/aws/plan"
)

func apiError(code, message string) error {
	return &smithy.OperationError{ServiceID: "Elastic Load Balancing v2", OperationName: "CreateListener", Err: &smithy.GenericAPIError{Code: code, Message: message}}
}

func TestExplain(t *testing.T) {
	for _, tc := range []struct {
		why    string
		err    error
		reason string
		names  string
	}{
		{"a quota", apiError("TooManyTargetGroups", "3000 is the limit"), providers.ReasonQuotaExceeded, "3000 is the limit"},
		{"rules of a group", apiError("RulesPerSecurityGroupLimitExceeded", "60"), providers.ReasonQuotaExceeded, "quota"},
		{"capacity was given back too often", (&elbtypes.CapacityDecreaseRequestsLimitExceededException{}), providers.ReasonQuotaExceeded, "quota"},
		{"capacity that AWS is still looking for", (&elbtypes.CapacityReservationPendingException{}), providers.ReasonBackendError, "yet"},
		{"a prefix list, by the name that EC2 has for it", apiError("InvalidPrefixListID.NotFound", "pl-1"), providers.ReasonInvalidRequest, "pl-1"},
		{"an address that another has", apiError("ResourceInUse", "The allocation IDs are not available for use"), providers.ReasonBackendError, "not available for use"},
		{"throttled", apiError("Throttling", "Rate exceeded"), providers.ReasonThrottled, "too many calls"},
		{"EC2 throttles by another name", apiError("RequestLimitExceeded", "slow down"), providers.ReasonThrottled, "too many calls"},
		{"what the user asked for", apiError("CertificateNotFound", "arn:x"), providers.ReasonInvalidRequest, "arn:x"},
		{"denied, and AWS says what", apiError("AccessDenied", "not authorized to perform: elasticloadbalancing:AddTags on"), providers.ReasonBackendError, "elasticloadbalancing:AddTags"},
		{"denied, and AWS does not say what", apiError("AccessDenied", "no"), providers.ReasonBackendError, "elasticloadbalancing:CreateListener"},
		{"credentials that are too old", apiError("ExpiredToken", "expired"), providers.ReasonBackendError, "credentials"},
		{"no credentials", fmt.Errorf("get identity: get credentials: %w", errors.New("no role")), providers.ReasonBackendError, "ServiceAccount"},
		{"anything else", apiError("InternalFailure", "oops"), providers.ReasonBackendError, "oops"},
		{"control characters and length", apiError("InternalFailure", "a\x00\nb"+strings.Repeat("x", 1000)), providers.ReasonBackendError, "doing this"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			refusal, ok := errors.AsType[*providers.Refusal](explain("doing this", tc.err))
			if !ok || refusal.Reason != tc.reason || !strings.Contains(refusal.Message, tc.names) || refusal.RetryAfter == 0 {
				t.Errorf("got %+v", refusal)
			}
			if len(refusal.Message) > 2*longestSaid || strings.Contains(refusal.Message, "\n") {
				t.Errorf("message %q", refusal.Message)
			}
		})
	}
	for _, err := range []error{context.Canceled, errStale, providers.ErrPending} {
		if got := explain("doing this", err); !errors.Is(got, err) || reasonOfErr(got) != "" {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// fetches is a batch of strings whose calls are counted; "gone" is not there.
func fetches(size int) (*batch[string], func() [][]string) {
	var mu sync.Mutex
	var calls [][]string
	b := &batch[string]{size: size}
	b.fetch = func(ctx context.Context, keys []string) (map[string]string, error) {
		mu.Lock()
		calls = append(calls, keys)
		mu.Unlock()
		if slices.Contains(keys, "gone") {
			return nil, apiError("LoadBalancerNotFound", "one of them")
		}
		if slices.Contains(keys, "slow") {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		out := map[string]string{}
		for _, k := range keys {
			out[k] = "the " + k
		}
		return out, ctx.Err()
	}
	return b, func() [][]string { mu.Lock(); defer mu.Unlock(); return calls }
}

func TestBatch(t *testing.T) {
	t.Run("those who ask at once share calls", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, calls := fetches(20)
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					key := fmt.Sprint(i)
					if got, err := b.get(t.Context(), key); err != nil || got[key] != "the "+key {
						t.Errorf("%s: %v, %v", key, got, err)
					}
				})
			}
			wg.Wait()
			if n := len(calls()); n != 3 {
				t.Errorf("%d calls", n)
			}
		})
	})
	t.Run("one that is gone is missing, and the others are there", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _ := fetches(20)
			got, err := b.get(t.Context(), "a", "b", "gone", "c")
			if err != nil || len(got) != 3 {
				t.Errorf("got %v, %v", got, err)
			}
		})
	})
	t.Run("who comes after the last one left has a call of its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _ := fetches(20)
			gone, leave := context.WithCancel(t.Context())
			leave()
			if _, err := b.get(gone, "a"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if got, err := b.get(t.Context(), "a"); err != nil || len(got) != 1 {
				t.Errorf("got %v, %v", got, err)
			}
		})
	})
	t.Run("who leaves does not end the call of others, and the last one does", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _ := fetches(20)
			first, leave := context.WithTimeout(t.Context(), time.Second)
			defer leave()
			second, leaveToo := context.WithTimeout(t.Context(), 2*time.Second)
			defer leaveToo()
			var wg sync.WaitGroup
			begin := time.Now()
			for ctx, after := range map[context.Context]time.Duration{first: time.Second, second: 2 * time.Second} {
				wg.Go(func() {
					_, err := b.get(ctx, "slow")
					if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != after {
						t.Errorf("%v after %v", err, time.Since(begin))
					}
				})
			}
			wg.Wait()
		}) // which fails if the call went on
	})
}

func TestCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		c := &cached[int]{load: func(context.Context) (int, error) {
			time.Sleep(time.Second)
			loads++
			return loads, nil
		}}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if got, err := c.get(t.Context(), time.Minute); got != 1 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
			})
		}
		wg.Wait()
		for _, step := range []struct {
			pass, age time.Duration
			want      int
		}{{30 * time.Second, time.Minute, 1}, {time.Minute, ever, 1}, {0, time.Minute, 2}, {0, 0, 3}} {
			time.Sleep(step.pass)
			if got, _ := c.get(t.Context(), step.age); got != step.want {
				t.Errorf("after %v, no older than %v: got %d, want %d", step.pass, step.age, got, step.want)
			}
		}
	})
}

func TestNodesSettle(t *testing.T) {
	set := func(n int) (nodes []*corev1.Node) {
		for i := range n {
			nodes = append(nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}})
		}
		return nodes
	}
	synctest.Test(t, func(t *testing.T) {
		var s nodeSets
		for _, step := range []struct {
			why       string
			pass      time.Duration
			has, uses int
		}{
			{"the first set counts at once", 0, 3, 3},
			{"one more waits", 0, 4, 3},
			{"and while more come", 900 * time.Millisecond, 5, 3},
			{"until it is quiet", 999 * time.Millisecond, 5, 3},
			{"for a second", time.Millisecond, 5, 5},
			{"fewer wait too", 0, 2, 5},
			{"what is as before needs nothing", 100 * time.Millisecond, 5, 5},
		} {
			time.Sleep(step.pass)
			use, again := s.settle(set(step.has))
			if len(use) != step.uses || again.IsZero() != (step.has == step.uses) {
				t.Errorf("%s: %d nodes of %d, again at %v", step.why, len(use), step.has, again)
			}
		}
		s = nodeSets{}
		for i, use := range []int{3, 3, 3, 0, 0} { // no node at all is a set like any other
			has := min(i, 1)*-3 + 3
			if got, _ := s.settle(set(has)); len(got) != use {
				t.Errorf("%d nodes of which none is left: after %d s %d are used", 3, i, len(got))
			}
			time.Sleep(quiet / 2)
		}
		if _, again := s.settle(nil); !again.IsZero() {
			t.Error("without nodes it never rests")
		}
		s = nodeSets{}
		s.settle(set(1))
		begin := time.Now()
		for i := 2; ; i++ {
			if use, _ := s.settle(set(i)); len(use) == i {
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
		if took := time.Since(begin); took != longestGather {
			t.Errorf("nodes that never rest waited %v", took)
		}
	})
}

// A node that is as it was is not looked at again.
func TestNodeSums(t *testing.T) {
	node := func(version, label string) []*corev1.Node {
		return []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "1", ResourceVersion: version, Labels: map[string]string{"x": label}}}}
	}
	var s nodeSets
	first := s.sumOf(node("1", "a"))
	for _, tc := range []struct {
		why   string
		nodes []*corev1.Node
		same  bool
	}{
		{"the same version is taken to be the same", node("1", "b"), true},
		{"another version is looked at", node("2", "b"), false},
		{"and may be the same in what counts", node("3", "a"), true},
		{"what has no version is looked at", node("", "b"), false},
		{"no node is none", nil, false},
	} {
		if same := s.sumOf(tc.nodes) == first; same != tc.same {
			t.Errorf("%s: the same %t", tc.why, same)
		}
	}
}

func TestDiscover(t *testing.T) {
	metadata := httptest.NewServer(fakeaws.Metadata("eu-north-1", "vpc-1"))
	defer metadata.Close()
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)

	for _, tc := range []struct{ given, want Site }{
		{Site{}, Site{"eu-north-1", "vpc-1"}},
		{Site{Region: "eu-west-1"}, Site{"eu-west-1", "vpc-1"}},
		{Site{Region: "eu-west-1", VPC: "vpc-2"}, Site{"eu-west-1", "vpc-2"}},
	} {
		cfg, got, err := Discover(t.Context(), tc.given)
		if err != nil || got != tc.want || cfg.Region != tc.want.Region {
			t.Errorf("given %v: got %v, %v; want %v", tc.given, got, err, tc.want)
		}
		if client, ok := cfg.HTTPClient.(*awshttp.BuildableClient); !ok || client.GetTimeout() != answerPatience {
			t.Error("a call that is never answered is never given up")
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for flag, given := range map[string]Site{"--aws-region": {VPC: "vpc-1"}, "--aws-vpc-id": {Region: "eu-west-1"}} {
		if _, _, err := Discover(t.Context(), given); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("given %v: %v", given, err)
		}
	}
}

// What a scan finds while a Service is being worked on is not lost: it is looked at
// anew right after.
func TestDoubt(t *testing.T) {
	key := providers.Key{Namespace: "default", Name: "web", UID: "1"}
	for _, tc := range []struct {
		why     string
		busy    bool
		version int // that the scan saw
		now     bool
		later   bool
	}{
		{"nobody works on it", false, 3, true, false},
		{"somebody does", true, 3, false, true},
		{"it was changed since the scan saw it", false, 2, false, false},
		{"it was changed since, by who still works on it", true, 2, false, false},
	} {
		t.Run(tc.why, func(t *testing.T) {
			m := newMemory()
			m.update("default/web", func(r *record) { r.key, r.version, r.hash, r.stack = key, 3, "v1:", &plan.Stack{} })
			if tc.busy {
				m.claim("default/web")
			}
			woken, now := m.forget("default/web", tc.version)
			after, later := m.unclaim("default/web")
			if now != tc.now || later != tc.later || now && woken != key || later && after != key {
				t.Errorf("woken at once %v, afterwards %v", now, later)
			}
			if r, _ := m.get("default/web"); (r.stack == nil && r.hash == "") != (tc.now || tc.later) {
				t.Errorf("it is known as %+v", r)
			}
			m.claim("default/web")
			if _, again := m.unclaim("default/web"); again {
				t.Error("it is forgotten twice")
			}
		})
	}
}
