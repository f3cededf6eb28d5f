package speaker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// readTime is how long a Secret is waited for that was not asked for before. The
// speaker's one worker waits, and an API server that is there takes milliseconds.
const readTime = 3 * time.Second

// errUnread says that a Secret is yet to be read.
var errUnread = errors.New("the API server has not answered yet")

// secrets are those that BGPPeers of this node name. Each is asked for by its
// name, so that a role can say which of them a speaker may read.
type secrets struct {
	// follow has the store hold what the API server has under that name, until ctx
	// ends.
	follow func(ctx context.Context, name string, store *oneSecret)
	// changed is told when one of them comes, goes or changes. It must not block.
	changed func()

	ctx   context.Context // of the process
	named map[string]*oneSecret
}

func newSecrets(follow func(context.Context, string, *oneSecret), changed func()) *secrets {
	return &secrets{follow: follow, changed: changed, ctx: context.Background(), named: map[string]*oneSecret{}}
}

// get returns a Secret, nil if there is none of that name.
func (s *secrets) get(name string) (*corev1.Secret, error) {
	one := s.named[name]
	if one == nil {
		ctx, stop := context.WithCancel(s.ctx)
		one = &oneSecret{stop: stop, changed: s.changed, known: make(chan struct{})}
		s.named[name] = one
		s.follow(ctx, name, one)
		one.await(ctx)
	}
	return one.get()
}

// keep forgets all others.
func (s *secrets) keep(names map[string]bool) {
	for name, one := range s.named {
		if !names[name] {
			one.stop()
			delete(s.named, name)
		}
	}
}

// oneSecret is the store of a reflector that follows one Secret. It keeps its
// password alone.
type oneSecret struct {
	stop    context.CancelFunc
	changed func()
	known   chan struct{} // closed once there is an answer

	mu     sync.Mutex
	secret *corev1.Secret
	err    error
}

func (o *oneSecret) await(ctx context.Context) {
	timer := time.NewTimer(readTime)
	defer timer.Stop()
	select {
	case <-o.known:
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (o *oneSecret) get() (*corev1.Secret, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.isKnown() {
		return nil, errUnread
	}
	return o.secret, o.err
}

func (o *oneSecret) isKnown() bool {
	select {
	case <-o.known:
		return true
	default:
		return false
	}
}

// put takes over what there is now; nil is nothing.
func (o *oneSecret) put(secret *corev1.Secret) { o.answer(trimSecret(secret), nil) }

// fail notes why there is no answer. What was there before stays.
func (o *oneSecret) fail(err error) {
	o.mu.Lock()
	had := o.isKnown() && o.err == nil
	o.mu.Unlock()
	if !had {
		o.answer(nil, err)
	}
}

func (o *oneSecret) answer(secret *corev1.Secret, err error) {
	o.mu.Lock()
	o.secret, o.err = secret, err
	if !o.isKnown() {
		close(o.known)
	}
	o.mu.Unlock()
	o.changed()
}

// Add, Update, Delete, Replace and Resync are what the reflector calls.
func (o *oneSecret) Add(object any) error {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return errors.New("not a Secret")
	}
	o.put(secret)
	return nil
}

func (o *oneSecret) Update(object any) error { return o.Add(object) }

func (o *oneSecret) Delete(any) error {
	o.put(nil)
	return nil
}

func (o *oneSecret) Replace(all []any, _ string) error {
	if len(all) == 0 {
		return o.Delete(nil)
	}
	return o.Add(all[0])
}

func (o *oneSecret) Resync() error { return nil }

// trimSecret keeps the password of one that is for that.
func trimSecret(secret *corev1.Secret) *corev1.Secret {
	if secret == nil || secret.Type != corev1.SecretTypeBasicAuth {
		return nil
	}
	kept := &corev1.Secret{ObjectMeta: named(secret.ObjectMeta), Type: secret.Type}
	if password, ok := secret.Data[corev1.BasicAuthPasswordKey]; ok {
		kept.Data = map[string][]byte{corev1.BasicAuthPasswordKey: password}
	}
	return kept
}

// followSecret has a reflector fill the store.
func followSecret(api client.WithWatch, namespace string) func(context.Context, string, *oneSecret) {
	return func(ctx context.Context, name string, store *oneSecret) {
		options := func(o metav1.ListOptions) *client.ListOptions {
			return &client.ListOptions{Namespace: namespace, FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name), Raw: &o}
		}
		failed := func(err error) error {
			if err != nil && ctx.Err() == nil {
				store.fail(fmt.Errorf("reading Secret %s: %w", name, err))
			}
			return err
		}
		watcher := &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				all := &corev1.SecretList{}
				return all, failed(api.List(ctx, all, options(o)))
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				w, err := api.Watch(ctx, &corev1.SecretList{}, options(o))
				return w, failed(err)
			},
		}
		go cache.NewReflectorWithOptions(watcher, &corev1.Secret{}, store, cache.ReflectorOptions{}).RunWithContext(ctx)
	}
}
