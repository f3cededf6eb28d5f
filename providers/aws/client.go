package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	tagging "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
)

const (
	// attempts is how often a call is tried that is throttled or not answered.
	attempts = 8
	// longestPause bounds the pause between two of them.
	longestPause = 20 * time.Second
	// answerPatience is how long one try of a call may take, that AWS accepts and
	// does not answer.
	answerPatience = 30 * time.Second
	// metadataPatience is how long instance metadata may take: where there is
	// none, nothing answers at all.
	metadataPatience = 5 * time.Second
)

// Site is where in AWS a cluster is.
type Site struct{ Region, VPC string }

// Discover loads the SDK's standard configuration: environment, files, web
// identity, pod identity, instance role. What is empty in site is taken from
// there, the VPC and in the end the Region from the metadata of the instance
// that the process runs on.
func Discover(ctx context.Context, site Site) (sdk.Config, Site, error) {
	options := []func(*config.LoadOptions) error{
		config.WithRetryer(newRetryer),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(answerPatience)),
	}
	if site.Region != "" {
		options = append(options, config.WithRegion(site.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return sdk.Config{}, Site{}, fmt.Errorf("load the configuration of the AWS SDK: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, metadataPatience)
	defer cancel()
	metadata := imds.NewFromConfig(cfg)
	if cfg.Region == "" {
		region, err := metadata.GetRegion(ctx, nil)
		if err != nil {
			return sdk.Config{}, Site{}, fmt.Errorf("no AWS Region is set, and instance metadata does not tell: set --aws-region or AWS_REGION: %w", err)
		}
		cfg.Region = region.Region
	}
	site.Region = cfg.Region
	if site.VPC == "" {
		if site.VPC, err = vpcOf(ctx, metadata); err != nil {
			return sdk.Config{}, Site{}, fmt.Errorf("no VPC is set, and instance metadata does not tell: set --aws-vpc-id: %w", err)
		}
	}
	return cfg, site, nil
}

// vpcOf asks for the VPC of the first network interface.
func vpcOf(ctx context.Context, metadata *imds.Client) (string, error) {
	macs, err := read(ctx, metadata, "network/interfaces/macs/")
	if err != nil {
		return "", err
	}
	mac, _, _ := strings.Cut(strings.TrimSpace(macs), "\n")
	if mac == "" {
		return "", errors.New("the instance lists no network interface")
	}
	return read(ctx, metadata, "network/interfaces/macs/"+strings.TrimSuffix(mac, "/")+"/vpc-id")
}

func read(ctx context.Context, metadata *imds.Client, path string) (string, error) {
	out, err := metadata.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Content.Close() }()
	text, err := io.ReadAll(out.Content)
	return strings.TrimSpace(string(text)), err
}

// newRetryer holds back calls at the pace that AWS turns out to allow.
func newRetryer() sdk.Retryer {
	return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
		o.StandardOptions = append(o.StandardOptions, func(s *retry.StandardOptions) {
			s.MaxAttempts = attempts
			s.MaxBackoff = longestPause
		})
	})
}

// NewClients returns the clients of cfg. Each has a retryer of its own, so that
// changes that are throttled don't slow down what only looks.
func NewClients(cfg sdk.Config) Clients {
	if cfg.Retryer == nil {
		cfg.Retryer = newRetryer
	}
	return Clients{
		Balancing:       elb.NewFromConfig(cfg),
		BalancingChange: elb.NewFromConfig(cfg),
		Network:         ec2.NewFromConfig(cfg),
		NetworkChange:   ec2.NewFromConfig(cfg),
		Tagging:         tagging.NewFromConfig(cfg),
	}
}
