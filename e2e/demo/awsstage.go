//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/aws"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

const (
	// clusterName is the name of the cluster in AWS's tags.
	clusterName = "demo"
	// taggingLag is how far AWS's listing of what has a tag is behind.
	taggingLag = time.Second
)

// awsStage is where the demo with AWS plays: a control plane, and an account with
// its nodes.
type awsStage struct {
	stage
	account *aws.Account
	// bare is what the account held at first.
	bare string
	// pods is how many there are, runs how often the controller was started.
	pods, runs int
}

// runAWS is run for BACKEND=aws.
func runAWS(ctx context.Context) error {
	fmt.Println("Berth on AWS: a Kubernetes control plane, and beside it an AWS account in memory that speaks AWS's")
	fmt.Println("protocols and is as strict. All is real but that account; where AWS takes minutes it takes seconds.")
	fmt.Println()
	s, err := buildAWS(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.play(ctx); err != nil {
		return s.explain(ctx, err)
	}
	if os.Getenv("KEEP") == "" {
		fmt.Print("\nAll of it is as it should be. To look around in there: make demo BACKEND=aws KEEP=1\n")
		return nil
	}
	s.hintAccount()
	return keep(ctx, &s.stage)
}

func buildAWS(ctx context.Context) (*awsStage, error) {
	began := time.Now()
	kube, err := cluster.Start(ctx, cluster.Options{ControllerManager: true})
	if err != nil {
		return nil, err
	}
	step(began, "etcd, kube-apiserver and kube-controller-manager are up")
	s := &awsStage{stage: stage{kube: kube}}
	if err := s.furnishAccount(ctx); err != nil {
		err = s.explain(ctx, err)
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *awsStage) furnishAccount(ctx context.Context) (err error) {
	if s.api, err = s.kube.Client(); err != nil {
		return err
	}
	began := time.Now()
	s.account = aws.Open(ctx, clusterName, 3, fakeaws.Options{Delays: fakeaws.Delays{
		Provisioning: 3 * time.Second, Healthy: 2 * time.Second, Detach: time.Second, Release: time.Second, Tagging: taggingLag,
	}})
	s.account.AddCertificate("arn:aws:acm:" + aws.Region + ":123456789012:certificate/shop")
	s.bare = s.account.Dump()
	for _, name := range []string{namespace, "berth-system"} {
		if err := s.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	for i, node := range s.account.Site.Nodes {
		if err := s.api.Create(ctx, aws.Node(fmt.Sprintf("node%d", i+1), node)); err != nil {
			return err
		}
	}
	for range 2 {
		if err := s.addPod(ctx); err != nil {
			return err
		}
	}
	step(began, "an account in "+aws.Region+" is there, with a VPC and three nodes, and two pods on paper")
	began = time.Now()
	if err := s.startOnAWS(ctx); err != nil {
		return err
	}
	step(began, "berth-controller is up")
	return nil
}

// addPod adds a pod with an address of its node's subnet, of which a kubelet would
// say that it is ready.
func (s *awsStage) addPod(ctx context.Context) error {
	s.pods++
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("app-%d", s.pods), Labels: map[string]string{"app": "app"}},
		Spec:       corev1.PodSpec{NodeName: "node1", Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
	if err := s.api.Create(ctx, pod); err != nil {
		return err
	}
	ip := fmt.Sprintf("10.0.100.%d", s.pods)
	pod.Status = corev1.PodStatus{
		Phase:      corev1.PodRunning,
		PodIP:      ip,
		PodIPs:     []corev1.PodIP{{IP: ip}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	return s.api.Status().Update(ctx, pod)
}

// flags are those of berth-controller, for all that it does.
func (s *awsStage) flags() []string {
	return append(s.account.Flags(clusterName), "--default-backend=aws", "--kubeconfig="+s.kube.Kubeconfig(), "--namespace=berth-system")
}

// startOnAWS returns when the controller has asked AWS what the cluster has.
func (s *awsStage) startOnAWS(ctx context.Context) error {
	binary, err := cluster.Built("berth-controller")
	if err != nil {
		return err
	}
	s.runs++
	s.account.Reset()
	s.controller, err = cluster.StartProgram(context.WithoutCancel(ctx), cluster.Program{
		Binary: binary,
		Args:   append(s.flags(), "--metrics-bind-address=0", "--health-probe-bind-address=0"),
		Env:    s.account.Env(),
		Log:    filepath.Join(s.kube.Dir(), fmt.Sprintf("berth-controller-%d.log", s.runs)),
	})
	if err != nil {
		return err
	}
	return s.await(ctx, "berth-controller lists what it has at AWS", func(context.Context) error {
		if s.account.Counts()["GetResources"] == 0 {
			return errors.New("it has not")
		}
		return nil
	})
}

// stopOnAWS asks the controller to stop, and returns when it has.
func (s *awsStage) stopOnAWS(ctx context.Context) error {
	s.controller.Term()
	return s.controller.Wait(ctx)
}

// dryRun shows what berth-controller would change, and returns that.
func (s *awsStage) dryRun(ctx context.Context) (string, error) {
	binary, err := cluster.Built("berth-controller")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, binary, append(s.flags(), "--dry-run")...)
	cmd.Env = append(os.Environ(), s.account.Env()...)
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("berth-controller --dry-run: %w\n%s", err, failed.Stderr)
	}
	fmt.Printf("\n$ berth-controller --dry-run --backends aws --default-backend aws --aws-cluster-name %s\n%s", clusterName, out)
	return string(out), err
}

// await returns once check passes.
func (s *awsStage) await(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.controller.Done():
			return errors.New("berth-controller ended")
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
	}
}

// hintAccount says what there is to do on a stage that stays.
func (s *awsStage) hintAccount() {
	fmt.Printf(`
All of it is as it should be, and stays up until Ctrl-C. In another terminal, in
the repository's top folder:

  export KUBECONFIG=%s
  alias kubectl="$PWD/bin/kube kubectl"

Make a Service, and see it get its NLB and pods as targets:

  kubectl create -n demo service loadbalancer mine --tcp=80:8080
  kubectl set selector -n demo service mine app=app
  kubectl annotate -n demo service mine service.beta.kubernetes.io/aws-load-balancer-nlb-target-type=ip
  kubectl get -n demo service mine -o yaml

With the AWS CLI, look at it from the other side, and delete something behind its back:

  export AWS_ENDPOINT_URL=%s AWS_DEFAULT_REGION=%s AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
  aws elbv2 describe-load-balancers

Logs and data are in %s.
`, s.kube.Kubeconfig(), s.account.URL, aws.Region, s.kube.Dir())
}
