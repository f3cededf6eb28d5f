package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/access"
)

// fieldOwner is whom the API server knows as the owner of what is applied.
const fieldOwner = client.FieldOwner("berth-lab")

// Client reads and writes as an administrator. It knows the types of
// Kubernetes, custom resource definitions, and those that add registers.
func (c *Cluster) Client(add ...func(*runtime.Scheme) error) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	for _, register := range append(add, clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme) {
		if err := register(scheme); err != nil {
			return nil, err
		}
	}
	return client.NewWithWatch(c.Config(), client.Options{Scheme: scheme})
}

// Apply makes the objects of a YAML stream be as it says, by server-side
// apply, and returns them in its order as the API server has them.
func (c *Cluster) Apply(ctx context.Context, stream []byte) ([]*unstructured.Unstructured, error) {
	objects, err := Decode(stream)
	if err != nil {
		return nil, err
	}
	cl, err := c.Client()
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		err := cl.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), fieldOwner, client.ForceOwnership)
		if err != nil {
			return nil, fmt.Errorf("applying %s %s: %w", object.GetKind(), client.ObjectKeyFromObject(object), err)
		}
	}
	return objects, nil
}

// Install applies the custom resource definitions of the YAML files in dir,
// and returns when the API server serves them.
func (c *Cluster) Install(ctx context.Context, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("installing custom resource definitions: %s holds none", dir)
	}
	for _, file := range files {
		stream, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		objects, err := c.Apply(ctx, stream)
		if err != nil {
			return fmt.Errorf("installing %s: %w", file, err)
		}
		for _, object := range objects {
			if err := c.waitEstablished(ctx, object.GetName()); err != nil {
				return err
			}
		}
	}
	return nil
}

// waitEstablished returns when the resource is served in all its versions: the
// condition comes a little earlier than that.
func (c *Cluster) waitEstablished(ctx context.Context, name string) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	served := func(ctx context.Context) (bool, error) {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := cl.Get(ctx, client.ObjectKey{Name: name}, &crd); err != nil {
			return false, err
		}
		return established(&crd) && listable(ctx, cl, &crd), nil
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, Patience, true, served)
	if err != nil {
		return fmt.Errorf("waiting for the API server to serve %s: %w", name, err)
	}
	return nil
}

func established(crd *apiextensionsv1.CustomResourceDefinition) bool {
	for _, condition := range crd.Status.Conditions {
		if condition.Type == apiextensionsv1.Established {
			return condition.Status == apiextensionsv1.ConditionTrue
		}
	}
	return false
}

func listable(ctx context.Context, cl client.Client, crd *apiextensionsv1.CustomResourceDefinition) bool {
	for _, version := range crd.Spec.Versions {
		if !version.Served {
			continue
		}
		list := &unstructured.UnstructuredList{Object: map[string]any{
			"apiVersion": crd.Spec.Group + "/" + version.Name,
			"kind":       crd.Spec.Names.ListKind,
		}}
		if cl.List(ctx, list, client.Limit(1)) != nil {
			return false
		}
	}
	return true
}

// Decode reads the objects of a YAML stream.
func Decode(stream []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(stream), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading YAML: %w", err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// ServiceAccountConfig gives the access of a ServiceAccount that exists, for
// an hour.
func (c *Cluster) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	cl, err := c.Client()
	if err != nil {
		return nil, err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	token := &authenticationv1.TokenRequest{}
	if err := cl.SubResource("token").Create(ctx, account, token); err != nil {
		return nil, fmt.Errorf("asking for a token of the ServiceAccount %s/%s: %w", namespace, name, err)
	}
	cfg := c.anonymous()
	cfg.BearerToken = token.Status.Token
	return cfg, nil
}

// WriteKubeconfig writes the kubeconfig of cfg in the cluster's directory, and
// returns its path.
func (c *Cluster) WriteKubeconfig(name string, cfg *rest.Config) (string, error) {
	path := filepath.Join(c.dir, name+".kubeconfig")
	return path, access.WriteKubeconfig(path, cfg)
}

// Kubectl runs kubectl as an administrator, and returns what it printed.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"kubectl", "--kubeconfig", c.Kubeconfig()}, args...)
	out, err := exec.CommandContext(ctx, c.opts.Binary, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %w\n%s", args, err, out)
	}
	return string(out), nil
}
