package conformance_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/conformance"
	"github.com/berth-lb/berth/providers/fake"
)

// mutant is a backend with one fault, over the fake that has none.
type mutant struct {
	providers.Provider
	ensure  func(context.Context, providers.Request) (providers.Result, error)
	release func(context.Context, providers.Key) error
	owned   func(context.Context) ([]providers.Key, error)
}

func (m mutant) Ensure(ctx context.Context, req providers.Request) (providers.Result, error) {
	if m.ensure != nil {
		return m.ensure(ctx, req)
	}
	return m.Provider.Ensure(ctx, req)
}

func (m mutant) Release(ctx context.Context, key providers.Key) error {
	if m.release != nil {
		return m.release(ctx, key)
	}
	return m.Provider.Release(ctx, key)
}

func (m mutant) Owned(ctx context.Context) ([]providers.Key, error) {
	if m.owned != nil {
		return m.owned(ctx)
	}
	return m.Provider.Owned(ctx)
}

var mutants = map[string]struct {
	story string // that is to catch it
	make  func(providers.Provider) mutant
}{
	"gives nothing": {"a Service is served", func(p providers.Provider) mutant {
		return mutant{ensure: func(context.Context, providers.Request) (providers.Result, error) { return providers.Result{}, nil }}
	}},
	"writes into the request": {"a Service is served", func(p providers.Provider) mutant {
		return mutant{ensure: func(ctx context.Context, req providers.Request) (providers.Result, error) {
			req.Service.Spec.LoadBalancerIP = "198.51.100.1"
			return p.Ensure(ctx, req)
		}}
	}},
	"refuses without a message": {"a refusal is steady", func(p providers.Provider) mutant {
		return mutant{ensure: func(ctx context.Context, req providers.Request) (providers.Result, error) {
			return providers.Result{}, &providers.Refusal{Reason: providers.ReasonInvalidRequest}
		}}
	}},
	"refuses for a reason of its own": {"a refusal is steady", func(p providers.Provider) mutant {
		return mutant{ensure: func(ctx context.Context, req providers.Request) (providers.Result, error) {
			return providers.Result{}, &providers.Refusal{Reason: "DontWantTo", Message: "don't want to"}
		}}
	}},
	"blames the Service for a cancelled call": {"a caller that has gone", func(p providers.Provider) mutant {
		return mutant{ensure: func(ctx context.Context, req providers.Request) (providers.Result, error) {
			if ctx.Err() != nil {
				return providers.Result{}, &providers.Refusal{Reason: providers.ReasonBackendError, Message: "cancelled"}
			}
			return p.Ensure(ctx, req)
		}}
	}},
	"builds anew each time": {"repeating changes nothing", func(p providers.Provider) mutant {
		return mutant{ensure: func(ctx context.Context, req providers.Request) (providers.Result, error) {
			if err := p.Release(ctx, req.Key()); err != nil {
				return providers.Result{}, err
			}
			req.Service = req.Service.DeepCopy()
			return p.Ensure(ctx, req)
		}}
	}},
	"tells Services apart by name": {"a Service created anew is another one", func(p providers.Provider) mutant {
		return mutant{
			ensure: func(ctx context.Context, req providers.Request) (providers.Result, error) {
				req.Service = req.Service.DeepCopy()
				req.Service.UID = ""
				return p.Ensure(ctx, req)
			},
			release: func(ctx context.Context, key providers.Key) error {
				key.UID = ""
				return p.Release(ctx, key)
			},
		}
	}},
	"never releases": {"what is released is no longer owned", func(p providers.Provider) mutant {
		return mutant{release: func(context.Context, providers.Key) error { return nil }}
	}},
	"fails to release what is gone": {"releasing twice is releasing once", func(p providers.Provider) mutant {
		return mutant{release: func(ctx context.Context, key providers.Key) error {
			if keys, _ := p.Owned(ctx); !slices.Contains(keys, key) {
				return errors.New("not found")
			}
			return p.Release(ctx, key)
		}}
	}},
	"lists in no order": {"owned is sorted and complete", func(p providers.Provider) mutant {
		return mutant{owned: func(ctx context.Context) ([]providers.Key, error) {
			keys, err := p.Owned(ctx)
			slices.Reverse(keys)
			return keys, err
		}}
	}},
	"sets an annotation that nobody removes": {"a Service is served", func(p providers.Provider) mutant {
		return mutant{ensure: func(ctx context.Context, req providers.Request) (providers.Result, error) {
			result, err := p.Ensure(ctx, req)
			result.Annotations = map[string]string{"cloud.example/id": "1"}
			return result, err
		}}
	}},
	"has an error where a port has no node port": {"no node ports", func(p providers.Provider) mutant {
		return mutant{ensure: func(ctx context.Context, req providers.Request) (providers.Result, error) {
			if req.Service.Spec.Ports[0].NodePort == 0 {
				return providers.Result{}, errors.New("no node port")
			}
			return p.Ensure(ctx, req)
		}}
	}},
}

const mutantVariable = "BERTH_CONFORMANCE_MUTANT"

// TestMutant runs the suite on the mutant that the environment names: it is
// what TestSuiteCatches starts.
func TestMutant(t *testing.T) {
	m, named := mutants[os.Getenv(mutantVariable)]
	if !named {
		t.Skip("started by TestSuiteCatches")
	}
	conformance.Run(t, func(t *testing.T) conformance.Backend {
		cloud := fake.NewCloud(fake.Options{Unsupported: []corev1.Protocol{corev1.ProtocolSCTP}})
		return conformance.Backend{
			Start: func(c conformance.Cluster) providers.Provider {
				p := fake.New(cloud, c.Wake)
				out := m.make(p)
				out.Provider = p
				return out
			},
			Changes: cloud.Changes,
			Refuse:  func(svc *corev1.Service) { svc.Spec.Ports[0].Protocol = corev1.ProtocolSCTP },
		}
	})
}

// A suite is worth what it catches: each mutant has to fail its story.
func TestSuiteCatches(t *testing.T) {
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			story := strings.ReplaceAll(m.story, " ", "_")
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMutant$/^"+story+"$")
			cmd.Env = append(os.Environ(), mutantVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMutant/"+story) {
				t.Errorf("%q did not fail: %v\n%s", m.story, err, out)
			}
		})
	}
}
